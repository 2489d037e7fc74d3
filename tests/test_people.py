"""Faces of one person stay together: in the split, in folds, and in what intervals are drawn from."""

import numpy as np
import pytest
from finished_run import FACE, made_winner, tiny
from tiny_celeba import rows, write_celeba

from core.claims import Cell, model_conclusions, table_conclusion
from core.faces import Faces
from core.final_test import Measured, scored_test
from core.metrics import Predictions, Truth
from core.names import Architecture
from core.splits import Split
from search_spaces.catalogue import SPACES
from tune.machine import Workers
from tune.materials import Materials, Place
from tune.plan import Plan
from tune.profile import Profile, settled_space

IMAGES_EACH = 3
TABLE = rows(images_each=IMAGES_EACH)
PERSON_OF = {row.file: row.identity for row in TABLE}


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory, weights_file) -> Materials:
    """What a search on three images each of 24 people works with; whole faces, so that nothing is computed."""
    folder = tmp_path_factory.mktemp("people")
    space = settled_space(SPACES["gender"], Profile.FAST, {"frozen_blocks": 0, "precision": "fp32"}).to_json()
    data = str(write_celeba(folder / "celeba", TABLE))
    plan = Plan(space, Profile.FAST, data=data, weights=str(weights_file), folds=3)
    said = []
    made = Materials(plan, Place(folder / "cache", Workers(1, 1, 0.0)), said.append)
    assert not any("identity file" in line for line in said)  # it was read
    return made


def people(materials: Materials, faces: np.ndarray) -> list[int]:
    """Whose faces these are, by the identity file."""
    return [PERSON_OF[name] for name in materials.faces.file[faces].tolist()]


def assert_whole_people(materials: Materials, *parts: np.ndarray) -> None:
    """Each part has all the images of those of whom it has one."""
    for part in parts:
        found = people(materials, part)
        assert {found.count(person) for person in found} == {IMAGES_EACH}


def test_nobody_is_in_two_parts_of_the_split_or_on_both_sides_of_a_fold(materials: Materials) -> None:
    split, inputs = materials.split, materials.inputs[0]
    assert sum(map(len, (split.train, split.validation, split.test))) == len(TABLE)
    assert_whole_people(materials, split.train, split.validation, split.test)
    assert len(inputs.folds) == 3
    for train, validation in inputs.folds:  # with no block frozen, inputs are all faces
        assert_whole_people(materials, train.rows, validation.rows)


def test_what_is_known_of_a_part_says_whose_face_each_is(materials: Materials) -> None:
    inputs = materials.inputs[0]
    for part in (inputs.train, inputs.validation, *(part for fold in inputs.folds for part in fold)):
        assert part.truth.person is not None
        assert part.truth.person.tolist() == people(materials, part.rows)


# Intervals. Of two persons with as many faces each, a resample is twice the one or twice the other (once in four each)
# or both, so that the ends of an interval are the mean of the one's faces and that of the other's; and of one woman
# and one man, drawn apart, every resample is all faces. Faces drawn one by one give neither.

EACH = 8
WOMAN_AND_MAN = np.repeat([0, 1], EACH)
TRUE = np.tile(FACE, (2 * EACH, 1, 1))  # eyes 64 px apart
KNOWN, UNKNOWN = Truth(WOMAN_AND_MAN, TRUE, np.repeat([31, 7], EACH)), Truth(WOMAN_AND_MAN, TRUE)


def said(of_woman_pct: float, of_man_pct: float, sure: np.ndarray | None = None) -> Predictions:
    """Landmarks off to the right by so much of the distance between the eyes; ``sure`` is how much each looks a man."""
    off_px = 0.64 * np.repeat([of_woman_pct, of_man_pct], EACH)
    moved = TRUE + np.stack([off_px, 0 * off_px], axis=1)[:, None]
    margins = WOMAN_AND_MAN - 0.5 if sure is None else sure
    return Predictions(np.stack([-margins, margins], axis=1), moved.astype(np.float32))


def assert_ends(differences: dict[bool, tuple[float, float, float]], low: float, high: float) -> None:
    """The interval over persons has these ends, and that over faces lies well between them."""
    assert differences[True] == pytest.approx(((low + high) / 2, low, high), abs=1e-3)
    value, narrow_low, narrow_high = differences[False]
    assert low + 0.2 * (high - low) < narrow_low < value < narrow_high < high - 0.2 * (high - low)


def test_the_final_tests_intervals_are_over_people() -> None:
    # Before the test faces stand those of others, which are the training set and know nothing of the truth.
    gender, landmarks = np.tile(WOMAN_AND_MAN, 2), np.tile(TRUE, (2, 1, 1)).astype(np.float32)
    landmarks[: 2 * EACH] += np.float32([6.4, 0])  # so that the mean face is off by 10 %
    identity = np.concatenate([np.arange(100, 100 + 2 * EACH), KNOWN.person])
    at = np.arange(4 * EACH)
    images = np.zeros((len(at), 3, 1, 1), np.uint8)
    faces = Faces(images, landmarks, gender, identity, at.astype(str), True, "0" * 64, "celeba")
    split = Split(at[: 2 * EACH], at[:0], at[2 * EACH :])
    # The woman's pictures and the man's differ in how sure the model is, so that faces drawn singly would change scores.
    sure = np.concatenate([np.linspace(-3, 1, EACH), np.linspace(-1, 3, EACH)])
    measured = [Measured(made_winner("multitask", (0,)), [said(2, 6, sure)], 1.0, "cpu")]
    result = scored_test(measured, faces, split, lambda _: lambda *_: None)
    assert result.truth.person is not None
    assert result.truth.person.tolist() == [31] * EACH + [7] * EACH
    [tested] = result.tested
    for name in ("gender_ce", "gender_auc", "relative_error"):
        value, low, high = tested.scores[name]
        assert (low, high) == (pytest.approx(value), pytest.approx(value)), name
    assert tested.gain == pytest.approx((6.0, 4.0, 8.0), abs=1e-3)  # 10 % less 6 % for the man, less 2 % for the woman


def test_a_tables_conclusion_is_over_people() -> None:
    cells = [Cell("l1", tiny(), (said(1, 1),)), Cell("l2", tiny(), (said(2, 5),))]
    found = {truth is KNOWN: table_conclusion(2, cells, 1, truth).difference for truth in (KNOWN, UNKNOWN)}
    assert_ends(found, 1.0, 4.0)


def test_conclusions_about_the_four_models_are_over_people() -> None:
    mixed = np.tile([-1.0, 1.0], EACH)  # of each person half looks a man: an area of a half
    tested = {
        Architecture.GENDER: {0: said(0, 0)},
        Architecture.LANDMARKS: {0: said(1, 1)},
        Architecture.MULTITASK: {0: said(2, 5, mixed)},
        Architecture.ATTENTION: {0: said(4, 11)},
    }
    by_truth = {truth is KNOWN: model_conclusions(tested, truth) for truth in (KNOWN, UNKNOWN)}
    found = {
        one.claim[:2]: {known: by_truth[known][i].difference for known in by_truth}
        for i, one in enumerate(by_truth[True])
    }
    assert_ends(found["5b"], 1.0, 4.0)
    assert_ends(found["6b"], 2.0, 6.0)
    for claim in ("5a", "6a"):
        assert found[claim][True] == pytest.approx((0.5, 0.5, 0.5))
        value, low, high = found[claim][False]
        assert low < value - 0.05 < value + 0.05 < high
