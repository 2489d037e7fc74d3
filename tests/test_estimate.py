import numpy as np

from core.examples import Examples
from tune.estimate import _first


def test_a_small_part_has_women_and_men_in_turn_and_keeps_what_belongs_together():
    gender = np.array([0] * 30 + [1] * 10)
    landmarks = np.arange(40, dtype=np.float32)[:, None, None] * np.ones((1, 5, 2), np.float32)
    part = _first(Examples(np.zeros((80, 3, 2, 2)), np.arange(40) + 40, landmarks, gender), 0.2)
    assert len(part) == 8
    assert part.gender.sum() == 4
    np.testing.assert_array_equal(part.rows - 40, part.landmarks[:, 0, 0])
    np.testing.assert_array_equal(part.gender, gender[part.rows - 40])
