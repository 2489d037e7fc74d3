import numpy as np
import pytest

from core.errors import UserError
from core.kept_predictions import read_predictions, write_predictions
from core.metrics import Predictions


def test_predictions_come_back_as_they_were_also_of_one_task(tmp_path):
    landmarks = np.random.default_rng(0).random((4, 5, 2), dtype=np.float32)
    write_predictions(tmp_path / "trial", Predictions(None, landmarks))
    found = read_predictions(tmp_path / "trial", 4)
    assert found.gender_logits is None
    np.testing.assert_array_equal(found.landmarks, landmarks)


def test_writing_again_replaces_and_leaves_nothing_else(tmp_path):
    for value in (0.0, 1.0):
        write_predictions(tmp_path, Predictions(np.full((3, 2), value, dtype=np.float32), None))
    assert read_predictions(tmp_path, 3).gender_logits.mean() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.npz"]


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not whole"])
def test_missing_or_damaged_predictions_are_a_clear_error(tmp_path, content):
    if content is not None:
        (tmp_path / "predictions.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"predictions\.npz"):
        read_predictions(tmp_path, 3)
