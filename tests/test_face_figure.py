import math

import numpy as np
import pytest
from matplotlib.axes import Axes

from core.face_figure import face_figure
from core.looks import LOOKS, save_figure
from core.metrics import Predictions, Truth
from core.names import Architecture

FACE = np.array([[80, 100], [120, 100], [100, 120], [85, 150], [115, 150]], dtype=np.float32)  # eyes 40 px apart
MULTITASK = Architecture.MULTITASK


def images(faces: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (faces, 3, 224, 224), dtype=np.uint8)


def truth_of(*gender: int) -> Truth:
    return Truth(np.array(gender), np.tile(FACE, (len(gender), 1, 1)))


def marks(axes: Axes) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_xydata() for line in axes.lines}


def test_marks_lie_where_the_landmarks_are() -> None:
    truth = truth_of(0, 1)
    figure = face_figure(images(2), truth, Predictions(landmarks=truth.landmarks + 4), MULTITASK)
    for axes in figure.axes:
        assert np.array_equal(marks(axes)["true landmark"], FACE)
        assert np.array_equal(marks(axes)["predicted landmark"], FACE + 4)


def test_predictions_have_the_colour_of_their_model() -> None:
    truth = truth_of(0)
    figure = face_figure(images(1), truth, Predictions(landmarks=truth.landmarks), MULTITASK)
    predicted = next(line for line in figure.axes[0].lines if line.get_label() == "predicted landmark")
    assert predicted.get_markeredgecolor() == LOOKS[MULTITASK].colour


def test_the_caption_says_prediction_probability_truth_and_error() -> None:
    truth = truth_of(0, 1)
    logits = np.array([[0, math.log(3)], [0, math.log(9)]])  # 75 % and 90 % man
    moved = Predictions(logits, truth.landmarks + np.array([4, 0]))
    woman, man = (axes.xaxis.label for axes in face_figure(images(2), truth, moved, MULTITASK).axes)
    assert woman.get_text() == "predicted man, 75 %\ntruth: woman\nNME 10.0 %"
    assert man.get_text() == "predicted man, 90 %\ntruth: man\nNME 10.0 %"
    assert (woman.get_fontweight(), man.get_fontweight()) == ("bold", "normal")


def test_the_probability_is_that_of_the_predicted_gender() -> None:
    figure = face_figure(images(1), truth_of(0), Predictions(np.array([[math.log(4), 0]])), Architecture.GENDER)
    assert figure.axes[0].get_xlabel() == "predicted woman, 80 %\ntruth: woman"


def test_a_model_of_gender_alone_draws_no_landmarks() -> None:
    figure = face_figure(images(1), truth_of(0), Predictions(np.zeros((1, 2))), Architecture.GENDER)
    assert not figure.axes[0].lines
    assert not figure.legends


def test_a_model_of_landmarks_alone_says_nothing_of_gender() -> None:
    truth = truth_of(0)
    figure = face_figure(images(1), truth, Predictions(landmarks=truth.landmarks), Architecture.LANDMARKS)
    assert figure.axes[0].get_xlabel() == "NME 0.0 %"


def test_a_prediction_outside_the_image_does_not_shrink_the_face() -> None:
    truth = truth_of(0)
    figure = face_figure(images(1), truth, Predictions(landmarks=truth.landmarks + 500), MULTITASK)
    assert (figure.axes[0].get_xlim(), figure.axes[0].get_ylim()) == ((-0.5, 223.5), (223.5, -0.5))


@pytest.mark.parametrize("faces", [1, 4, 5, 9])
def test_any_number_of_faces_makes_a_grid_that_can_be_saved(faces: int, tmp_path) -> None:
    truth = truth_of(*[0] * faces)
    figure = face_figure(images(faces), truth, Predictions(landmarks=truth.landmarks), MULTITASK)
    save_figure(figure, tmp_path / "faces.png")
    assert len(figure.axes) == faces
    assert (tmp_path / "faces.png").stat().st_size > 10_000


def test_channels_are_shown_as_red_green_blue() -> None:
    image = np.zeros((1, 3, 224, 224), dtype=np.uint8)
    image[:, 0] = 255
    shown = face_figure(image, truth_of(0), Predictions(np.zeros((1, 2))), MULTITASK).axes[0].images[0].get_array()
    assert shown[10, 20].tolist() == [255, 0, 0]
