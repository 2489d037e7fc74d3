"""Faces whose labels and pixels may not mean the same, or of which no error can be told."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_celeba import SIZE, replace_line, rows, write_celeba

from core.celeba import read_celeba
from core.crop import faces_cut_off
from core.errors import UserError
from core.faces import load_celeba_faces
from core.mini import build_mini

FACE = np.array([[80, 100], [144, 100], [112, 140], [88, 170], [136, 170]], dtype=np.float32)


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    return write_celeba(tmp_path / "celeba", rows())


def noted(orientation: int) -> Image.Exif:
    note = Image.Exif()
    note[0x0112] = orientation
    return note


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_an_image_that_viewers_turn_is_refused_where_landmarks_are_learned(tmp_path: Path, celeba: Path, orientation):
    path = celeba / "img_align_celeba" / "000007.jpg"
    Image.new("RGB", SIZE).save(path, "JPEG", exif=noted(orientation))
    rule = rf"000007\.jpg: must be stored upright, with its landmarks so; by its EXIF orientation \({orientation}\)"
    with pytest.raises(UserError, match=rule):
        load_celeba_faces(celeba, tmp_path / "cache")
    with pytest.raises(UserError, match=rule):
        build_mini(celeba, tmp_path / "mini", people=24)


@pytest.mark.parametrize("orientation", [0, 1, 9, 300])
def test_a_note_that_turns_nothing_is_let_pass(tmp_path: Path, celeba: Path, orientation) -> None:
    Image.new("RGB", SIZE).save(celeba / "img_align_celeba" / "000007.jpg", "JPEG", exif=noted(orientation))
    assert len(load_celeba_faces(celeba, tmp_path / "cache")) == 24


def test_landmarks_that_are_the_same_for_all_are_refused(celeba: Path) -> None:
    for row in rows():
        number = int(row.file[:6])
        replace_line(
            celeba / "list_landmarks_align_celeba.txt", 2 + number, f"{row.file} 10 20 30 20 20 25 12 30 28 30"
        )
    with pytest.raises(UserError, match="landmarks must differ from face to face, all 24 have the same"):
        read_celeba(celeba)
    replace_line(celeba / "list_landmarks_align_celeba.txt", 3, "000001.jpg 10 20 30 20 20 25 12 30 28 31")
    assert len(read_celeba(celeba).file) == 24


@pytest.mark.parametrize("name", [".DS_Store", "._000001.jpg", "Thumbs.db", "desktop.ini"])
def test_what_systems_leave_in_folders_makes_no_other_cache(tmp_path: Path, celeba: Path, name: str) -> None:
    before = load_celeba_faces(celeba, tmp_path / "cache").images_path
    (celeba / "img_align_celeba" / name).write_bytes(b"x")
    assert load_celeba_faces(celeba, tmp_path / "cache").images_path == before


def test_faces_with_a_landmark_outside_the_crop_are_counted_once_each() -> None:
    faces = np.stack([FACE] * 5)
    faces[1, 0, 0] = -0.6  # left of the first pixel's edge
    faces[2, 3:, 1] = 223.6  # both below the last one's
    faces[3, 0, 0], faces[4, 1, 1] = -0.4, 223.4
    assert faces_cut_off(faces) == 2
