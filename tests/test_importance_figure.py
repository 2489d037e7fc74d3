from pathlib import Path

import pytest
from test_importance_table import row, table

from core.importance_figure import importance_figure, importance_figures
from core.importance_table import Verdict
from core.looks import LOOKS
from core.names import Architecture

SEVERAL = table(
    row("optimizer", Verdict.UNTOLD, branch="all models"),
    row("lr", Verdict.MATTERS, branch="all models"),
    row("smooth_l1_beta", Verdict.LITTLE, branch="landmark_loss=smooth_l1"),
    row("wing_w", Verdict.FEW, branch="landmark_loss=wing"),
    row("lr", Verdict.MATTERS, (0.2, 0.1, 0.3), (0.4, 0.25, 0.5)),
)


def test_every_branch_of_which_something_is_known_has_a_panel_with_its_parameters():
    panels = importance_figure(SEVERAL).axes
    assert [axes.get_title(loc="left") for axes in panels] == [
        "all models, 24 trials",
        "landmark_loss=smooth_l1, 24 trials",
        "multi-task, 24 trials",
    ]
    assert [[label.get_text() for label in axes.get_yticklabels()] for axes in panels] == [
        ["optimizer", "lr"],
        ["smooth_l1_beta"],
        ["lr"],
    ]
    assert [[text.get_text() for text in axes.texts] for axes in panels] == [
        ["cannot be told", "matters"],
        ["little"],
        ["matters"],
    ]


def test_intervals_are_drawn_in_percent_a_models_own_in_its_colour():
    axes = importance_figure(SEVERAL).axes[-1]
    drawn = [list(line.get_xdata()) for line in axes.lines]
    assert [20] in drawn
    assert [40] in drawn
    colours = {tuple(line.get_xdata()): line.get_color() for line in axes.lines}
    assert colours[(10, 30)] == LOOKS[Architecture.MULTITASK].colour
    assert (25, 50) in colours


@pytest.mark.parametrize("rows", [SEVERAL, SEVERAL.iloc[[-1]]], ids=["several", "one"])
def test_words_and_legend_lie_within_the_page(rows):
    figure = importance_figure(rows)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    boxes += [label.get_window_extent() for axes in figure.axes for label in axes.get_yticklabels()]
    for box in [*boxes, figure.legends[0].get_window_extent()]:
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0


def test_nothing_is_drawn_where_nothing_is_known(tmp_path: Path):
    assert importance_figures(table(row("lr", Verdict.FEW)), tmp_path) == {}
    assert importance_figures(table(), tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
    (path,) = importance_figures(SEVERAL, tmp_path)
    assert path == tmp_path / "importance.png"
    assert path.is_file()
