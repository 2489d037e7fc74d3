import numpy as np

from core.examples import Examples, Views
from tune.estimate import _first


def test_a_small_part_has_women_and_men_in_turn_and_keeps_what_belongs_together():
    gender = np.array([0] * 30 + [1] * 10)
    landmarks = np.arange(40, dtype=np.float32)[:, None, None] * np.ones((1, 5, 2), np.float32)
    part = _first(Examples(np.zeros((80, 3, 2, 2)), np.arange(40) + 40, landmarks, gender), 0.2)
    assert len(part) == 8
    assert part.gender.sum() == 4
    np.testing.assert_array_equal(part.rows - 40, part.landmarks[:, 0, 0])
    np.testing.assert_array_equal(part.gender, gender[part.rows - 40])


def test_views_of_a_small_part_are_of_its_own_faces():
    gender = np.arange(20) % 2
    landmarks = np.arange(20, dtype=np.float32)[:, None, None] * np.ones((1, 5, 2), np.float32)
    views = Views(np.zeros((40, 3, 2, 2)), np.arange(40).reshape(20, 2), np.stack([landmarks, landmarks], axis=1))
    part = _first(Examples(np.zeros((20, 3, 2, 2)), np.arange(20), landmarks, gender, views), 0.3)
    assert part.views is not None
    np.testing.assert_array_equal(part.views.rows[:, 0], 2 * part.rows)
    np.testing.assert_array_equal(part.views.landmarks[:, 1], part.landmarks)
