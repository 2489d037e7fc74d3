from pathlib import Path

import numpy as np
import pytest
from finished_run import FACE, made_predictions, made_winner
from matplotlib.figure import Figure

import core.looks
from core import final_test
from core.gallery import write_figures
from core.looks import LOOKS
from core.metrics import Truth

GENDER = np.arange(12) % 2
LANDMARKS = np.tile(FACE, (12, 1, 1))


def result(*models: tuple[str, str]) -> final_test.TestResult:
    """Winners of (label, architecture) on 12 faces that stand at rows 3 to 14 of their data."""
    images = np.zeros((20, 3, 224, 224), dtype=np.uint8)
    images[3:15, 0] = 255
    made = final_test.TestResult(Truth(GENDER, LANDMARKS), images, np.arange(3, 15), ["x"] * 12, {})
    for label, architecture in models:
        tasks = architecture if architecture in ("gender", "landmarks") else "gender landmarks"
        winner = made_winner(label, architecture=architecture)
        runs = [made_predictions(LANDMARKS, GENDER, shift, tasks) for shift in (3.2, 6.4)]
        made.tested.append(final_test.Tested(winner, runs, {}, {}, 1.0))
    return made


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """The figures by name, as they are saved."""
    found: dict[str, Figure] = {}
    monkeypatch.setattr(core.looks, "save_figure", lambda figure, path: found.update({path.stem: figure}))
    return found


def test_a_winner_of_second_rank_in_the_search_keeps_the_look_of_its_kind(drawn, tmp_path: Path) -> None:
    write_figures(tmp_path, result(("multitask-2", "multitask")))
    look = LOOKS["multitask"]
    assert [line.get_color() for line in drawn["roc"].axes[0].lines[1:]] == [look.colour] * 2
    legends = [drawn["roc"].axes[0].get_legend(), drawn["operating_curve"].legends[0]]
    assert all(legend.get_texts()[0].get_text().startswith("multi-task: ") for legend in legends)
    assert drawn["confusion"].axes[0].get_title() == "multi-task"
    assert drawn["learning_curves"].axes[0].get_title() == "multi-task"
    faces = drawn["predictions_multitask"]
    marks = {line.get_label(): line for line in faces.axes[0].lines}
    assert marks["predicted landmark"].get_markeredgecolor() == look.colour
    assert faces.get_suptitle() == "multi-task"


def test_the_caption_says_which_winner_it_was(drawn, tmp_path: Path) -> None:
    written = write_figures(tmp_path, result(("multitask-2", "multitask")))
    assert "multi-task model (multitask-2, its first seed; " in written[tmp_path / "predictions_multitask.png"]


@pytest.mark.parametrize("kind", ["gender", "landmarks", "multitask", "attention"])
def test_captions_and_figures_are_about_the_models_tasks_alone(drawn, tmp_path: Path, kind: str) -> None:
    written = write_figures(tmp_path, result((kind, kind)))
    caption = written[tmp_path / f"predictions_{kind}.png"]
    for word in ("circles", "crosses", "NME"):
        assert (word in caption) == (kind != "gender")
    assert ("a wrong gender" in caption) == (kind != "landmarks")
    assert ("roc" in drawn) == ("confusion" in drawn) == (kind != "landmarks")
    assert ("operating_curve" in drawn) == (kind != "gender")


def test_the_faces_shown_are_test_faces(drawn, tmp_path: Path) -> None:
    write_figures(tmp_path, result(("gender", "gender")))
    shown = drawn["predictions_gender"].axes
    assert len(shown) == 8
    assert all(axes.images[0].get_array()[0, 0].tolist() == [255, 0, 0] for axes in shown)


def test_confusion_counts_the_faces_of_all_seeds(drawn, tmp_path: Path) -> None:
    write_figures(tmp_path, result(("gender", "gender")))
    texts = [text.get_text() for text in drawn["confusion"].axes[0].texts]
    assert texts == ["12\n100 %", "0\n0 %", "0\n0 %", "12\n100 %"]


def test_every_figure_is_a_file_under_the_path_it_is_listed_by(tmp_path: Path) -> None:
    written = write_figures(tmp_path / "figures", result(("gender", "gender"), ("attention-3", "attention")))
    names = ["roc", "confusion", "operating_curve", "predictions_gender", "predictions_attention", "learning_curves"]
    assert [path.stem for path in written] == names
    assert sorted(written) == sorted((tmp_path / "figures").iterdir())
