import zipfile

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


def test_predictions_of_other_faces_and_values_that_are_not_finite_are_refused(tmp_path):
    write_predictions(tmp_path, Predictions(np.zeros((3, 2), dtype=np.float32), None))
    for faces in (2, 4):
        with pytest.raises(UserError, match=rf"gender_logits must be finite numbers for {faces} faces"):
            read_predictions(tmp_path, faces)
    write_predictions(tmp_path, Predictions(np.full((3, 2), np.nan, dtype=np.float32), None))
    with pytest.raises(UserError, match="must be finite numbers"):
        read_predictions(tmp_path, 3)


def test_an_archive_that_unpacks_to_far_more_than_predictions_is_refused_unread(tmp_path):
    np.savez_compressed(tmp_path / "predictions.npz", landmarks=np.zeros((10**6, 5, 2)))
    assert (tmp_path / "predictions.npz").stat().st_size < 10**6
    with pytest.raises(UserError, match="an array of 3 faces has at most"):
        read_predictions(tmp_path, 3)


@pytest.mark.parametrize("part", ["text", "array", "other"])
def test_what_is_no_archive_of_arrays_is_a_clear_error(tmp_path, part):
    path = tmp_path / "predictions.npz"
    if part == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif part == "other":
        np.savez(path, other=np.zeros(3))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("gender_logits", b"no array")
    with pytest.raises(UserError, match=r"predictions\.npz: not the predictions of a model"):
        read_predictions(tmp_path, 3)
