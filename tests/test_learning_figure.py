import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from core.learning_figure import learning_figure
from core.looks import LOOKS
from core.names import Architecture

MULTITASK, ATTENTION = Architecture.MULTITASK, Architecture.ATTENTION


def curve(level: float, epochs: int = 3) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    values = level / epoch
    return pd.DataFrame({"epoch": epoch, "train_loss": values / 2, "val_loss": values, "relative_error": values / 4})


def drawn(axes: Axes, colour: str) -> list[list[float]]:
    return [list(line.get_ydata()) for line in axes.lines if line.get_color() == colour]


def test_seeds_are_drawn_and_then_their_mean() -> None:
    figure = learning_figure({MULTITASK: [curve(1.0), curve(3.0)]})
    loss, relative = figure.axes
    assert drawn(loss, LOOKS[MULTITASK].colour) == [[1, 1 / 2, 1 / 3], [3, 3 / 2, 1], pytest.approx([2, 1, 2 / 3])]
    assert drawn(relative, LOOKS[MULTITASK].colour)[-1] == pytest.approx([1 / 2, 1 / 4, 1 / 6])


def test_a_single_seed_is_one_line() -> None:
    loss, _ = learning_figure({MULTITASK: [curve(1.0)]}).axes
    assert drawn(loss, LOOKS[MULTITASK].colour) == [[1, 1 / 2, 1 / 3]]
    assert drawn(loss, "0.35") == [[1 / 2, 1 / 4, 1 / 6]]  # training


def test_the_mean_goes_as_far_as_all_seeds_so_that_no_seeds_end_bends_it() -> None:
    loss, _ = learning_figure({MULTITASK: [curve(1.0, epochs=1), curve(3.0, epochs=2)]}).axes
    assert drawn(loss, LOOKS[MULTITASK].colour) == [[1], [3, 3 / 2], [2]]


def test_panels_are_models_by_metrics_with_names_and_units_at_the_edge() -> None:
    figure = learning_figure({MULTITASK: [curve(1.0)], ATTENTION: [curve(2.0)]}, metrics=("loss", "nme_pct"))
    assert [axes.get_title() for axes in figure.axes] == ["multi-task", "attention", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "", "NME (% of eye distance)", ""]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "epoch", "epoch"]


def test_a_metric_that_was_not_recorded_leaves_its_panel_empty() -> None:
    empty = curve(1.0).assign(val_nme_pct=np.nan)
    figure = learning_figure({MULTITASK: [empty]}, metrics=("nme_pct", "gender_ce"))
    assert [len(axes.lines) for axes in figure.axes] == [0, 0]


def test_losses_share_an_axis_only_if_they_share_a_unit() -> None:
    curves = {"adam": [curve(1.0)], "rmsprop": [curve(300.0)]}
    apart = [axes.get_ylim() for axes in learning_figure(curves, metrics=("loss",)).axes]
    together = [axes.get_ylim() for axes in learning_figure(curves, metrics=("loss",), same_loss=True).axes]
    assert apart[0] != apart[1]
    assert together[0] == together[1]


def test_relative_errors_are_shown_from_0_to_just_above_knowing_nothing() -> None:
    figure = learning_figure({MULTITASK: [curve(1000.0)], ATTENTION: [curve(0.4)]}, metrics=("relative_error",))
    assert [axes.get_ylim() for axes in figure.axes] == [(0, 1.5)] * 2


def test_relative_errors_that_are_all_small_still_show_the_line_of_knowing_nothing() -> None:
    (axes,) = learning_figure({MULTITASK: [curve(0.4)]}, metrics=("relative_error",)).axes
    assert axes.get_ylim()[1] > 1


@pytest.mark.parametrize("models", [[MULTITASK], [MULTITASK, ATTENTION]])
def test_the_legend_lies_within_the_figure(models: list[Architecture]) -> None:
    figure = learning_figure({model: [curve(1.0), curve(3.0)] for model in models})
    figure.draw_without_rendering()
    legend, page = figure.legends[0].get_window_extent(), figure.bbox
    assert page.x0 < legend.x0
    assert legend.x1 < page.x1
