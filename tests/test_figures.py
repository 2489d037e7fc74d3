import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score, roc_curve

from core.figures import ced_figure, confusion_figure, roc_figure
from core.looks import LOOKS
from core.names import MEAN_FACE, Architecture

GENDER = np.tile([0, 1], 25)
LANDMARKS, MULTITASK, ATTENTION = Architecture.LANDMARKS, Architecture.MULTITASK, Architecture.ATTENTION


def margins(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(2 * GENDER - 1, 1.5)


def errors(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).gamma(4, 2, 50)


def curves_of(axes: Axes, model: str) -> list[np.ndarray]:
    return [line.get_xydata() for line in axes.lines if line.get_color() == LOOKS[model].colour]


def legend_of(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend() or figure.legends[0]
    return [text.get_text() for text in legend.get_texts()]


def test_roc_curves_are_scikit_learns_points_one_curve_a_seed() -> None:
    runs = [margins(0), margins(1)]
    axes = roc_figure({MULTITASK: runs, ATTENTION: [margins(2)]}, GENDER).axes[0]
    drawn = curves_of(axes, MULTITASK)
    assert len(drawn) == 2
    for curve, margin in zip(drawn, runs, strict=True):
        assert np.array_equal(curve, np.stack(roc_curve(GENDER, margin)[:2], axis=1))
    assert len(curves_of(axes, ATTENTION)) == 1


def test_the_roc_legend_has_each_model_once_with_its_mean_area() -> None:
    figure = roc_figure({MULTITASK: [margins(0), margins(1)], ATTENTION: [margins(2)]}, GENDER)
    first, second, third = (roc_auc_score(GENDER, margins(seed)) for seed in range(3))
    assert legend_of(figure) == [f"multi-task: {(first + second) / 2:.3f}", f"attention: {third:.3f}"]


def test_the_error_distribution_says_the_share_of_faces_within_each_threshold() -> None:
    figure = ced_figure({LANDMARKS: [errors(0)]})
    for axes, limit in zip(figure.axes, (100, 20), strict=True):
        (steps,) = curves_of(axes, LANDMARKS)
        assert axes.get_xlim() == (0, limit)
        for threshold in (0.5, 3.3, 7.0, 12.0, limit):
            drawn = steps[steps[:, 0] <= threshold][-1, 1]
            assert drawn == pytest.approx(100 * (errors(0) <= threshold).mean())


def test_the_error_distribution_of_several_seeds_is_the_mean_of_theirs() -> None:
    (steps,) = curves_of(ced_figure({LANDMARKS: [errors(0), errors(1)]}).axes[0], LANDMARKS)
    drawn = steps[steps[:, 0] <= 6.0][-1, 1]
    assert drawn == pytest.approx(50 * ((errors(0) <= 6).mean() + (errors(1) <= 6).mean()))


def test_the_error_distributions_legend_says_both_areas() -> None:
    figure = ced_figure({LANDMARKS: [np.array([5.0, 15.0])], MEAN_FACE: [np.array([10.0, 250.0])]})
    assert legend_of(figure) == [
        "single-task landmarks: 0.900 to 100 %, 0.250 to 10 %",
        "mean face: 0.450 to 100 %, 0.000 to 10 %",
    ]


def test_confusion_cells_show_faces_and_their_share_of_the_true_gender() -> None:
    figure = confusion_figure({MULTITASK: np.array([[24, 1], [5, 20]])})
    cells = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert cells == {(0, 0): "24\n96 %", (1, 0): "1\n4 %", (0, 1): "5\n20 %", (1, 1): "20\n80 %"}
    assert (figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()) == ("true gender", "predicted gender")


def test_confusion_has_a_panel_a_model_and_bears_a_gender_without_faces() -> None:
    figure = confusion_figure({MULTITASK: np.array([[0, 0], [5, 20]]), ATTENTION: np.array([[25, 0], [0, 25]])})
    assert [axes.get_title() for axes in figure.axes] == ["multi-task", "attention"]
    assert figure.axes[0].texts[0].get_text() == "0\n0 %"


def test_axes_say_what_they_measure_and_in_which_unit() -> None:
    roc = roc_figure({MULTITASK: [margins(0)]}, GENDER).axes[0]
    assert roc.get_xlabel().startswith("false positive rate")
    assert roc.get_ylabel().startswith("true positive rate")
    for axes in ced_figure({MULTITASK: [errors(0)]}).axes:
        assert axes.get_xlabel() == "threshold (% of inter-ocular distance)"
        assert axes.get_ylabel() == "faces with NME within threshold (%)"


def test_a_model_has_one_colour_and_line_style_in_every_figure() -> None:
    roc = roc_figure({ATTENTION: [margins(0)], MULTITASK: [margins(1)]}, GENDER).axes[0]
    ced = ced_figure({LANDMARKS: [errors(0)], MULTITASK: [errors(1)]}).axes[0]

    def style(axes: Axes) -> list[tuple]:
        return [
            (x.get_color(), x.get_linestyle(), x._unscaled_dash_pattern) for x in axes.lines if "multi" in x.get_label()
        ]

    assert style(roc) == style(ced)
    assert style(roc)[0][0] == LOOKS[MULTITASK].colour
