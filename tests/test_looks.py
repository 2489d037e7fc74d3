from pathlib import Path

import pytest
from matplotlib import rcParams
from matplotlib.colors import to_rgb
from PIL import Image

from core.looks import LOOKS, PAGE, dress, look_of, new_figure, save_figure
from core.names import MEAN_FACE, Architecture


def test_every_architecture_and_the_baseline_have_a_look() -> None:
    assert set(LOOKS) == {*Architecture, MEAN_FACE}


@pytest.mark.parametrize("part", ["label", "colour", "line"])
def test_no_two_models_share_a_label_a_colour_or_a_line_style(part: str) -> None:
    assert len({getattr(look, part) for look in LOOKS.values()}) == len(LOOKS)


def test_every_colour_stands_out_from_white_paper() -> None:
    for look in LOOKS.values():
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(look.colour))
        assert 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) >= 3  # WCAG 2, 1.4.11


def test_a_choice_without_a_look_is_black_under_its_own_name() -> None:
    assert (look_of("adamax").label, look_of("adamax").colour) == ("adamax", "black")


def test_dressed_axes_have_type_of_at_least_8_points() -> None:
    axes = new_figure(3, 3).add_subplot()
    dress(axes, "x (px)", "y (px)", "title")
    texts = [axes.xaxis.label, axes.yaxis.label, axes.title, *axes.get_xticklabels(), *axes.get_yticklabels()]
    assert min(text.get_fontsize() for text in texts) >= 8


def test_a_saved_figure_is_a_png_at_150_dots_per_inch(tmp_path: Path) -> None:
    save_figure(new_figure(PAGE, 2), tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert (image.format, image.size) == ("PNG", (1080, 300))
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


def test_a_failed_save_leaves_the_old_figure_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "figure.png"
    target.write_bytes(b"old")
    figure = new_figure(3, 3)
    figure.text(0.5, 0.5, "$\\nosuchsymbol$")  # cannot be drawn
    with pytest.raises(ValueError, match="nosuchsymbol"):
        save_figure(figure, target)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"figure.png": b"old"}


def test_figures_leave_matplotlibs_settings_alone(tmp_path: Path) -> None:
    before = dict(rcParams)
    figure = new_figure(3, 3)
    dress(figure.add_subplot(), "x", "y")
    save_figure(figure, tmp_path / "figure.png")
    assert dict(rcParams) == before
