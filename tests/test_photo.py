"""Photos of any size: where their crops lie, what models say of them, tables and drawings."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from photo_desk import CPU, LABELS, SCRIPT, SIZES, expected_points
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo
from torchvision import transforms

from core.celeba import LANDMARK_COLUMNS
from core.crop import crop_landmarks, photo_landmarks
from core.errors import UserError
from core.names import Precision
from core.photo import MARK, Photo, drawn_photo, look_at, open_photo, photo_table
from core.run_folder import RunFolder
from core.winner import load_model, read_backbone, read_winner


@pytest.mark.parametrize("size", SIZES)
def test_the_way_back_from_the_crop_undoes_the_way_there(size: tuple[int, int]) -> None:
    points = np.array([[0, 0], [3.5, 10], [size[0] - 1, size[1] - 1], [20, 20.25], [-4, 7]], np.float32)
    np.testing.assert_allclose(photo_landmarks(crop_landmarks(points, size), size), points, atol=1e-3)


@pytest.mark.parametrize("size", [(178, 218), (1024, 768), (300, 900)])
def test_what_is_found_at_a_spot_of_torchvisions_crop_is_at_that_spot_of_the_photo(size: tuple[int, int]) -> None:
    """A disc is painted into a photo, found in the crop by its centre of mass, and taken back."""
    centre, radius = (0.45 * size[0], 0.52 * size[1]), 0.06 * min(size)
    photo = Image.new("RGB", size)
    box = [centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius]
    ImageDraw.Draw(photo).ellipse(box, fill="white")
    cropped = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(photo)
    mass = np.asarray(cropped, dtype=np.float64).sum(axis=2)
    y, x = (np.indices(mass.shape) * mass).sum(axis=(1, 2)) / mass.sum()
    found = photo_landmarks(np.array([[x, y]], np.float32), size)[0]
    assert np.abs(found - centre).max() < 0.75 * max(1, min(size) / 256)  # a pixel of the coarser picture


@pytest.mark.parametrize("label", LABELS)
def test_a_model_is_told_in_photo_pixels_whatever_the_size(sure_run: RunFolder, photos: list[Path], label: str) -> None:
    winner = read_winner(sure_run, label)
    model = load_model(read_backbone(sure_run), winner, winner.folders[0], CPU)
    heard: list[int] = []
    found = look_at(model, photos, Precision.FP32, CPU, heard.append)
    assert heard == [5]
    for photo, path, size in zip(found, photos, SIZES, strict=True):
        assert (photo.path, photo.size) == (path, size)
        if label != "landmarks":
            assert photo.probability_man == pytest.approx(0.75, abs=1e-6)
            assert photo.gender == "man"
        else:
            assert photo.gender is photo.probability_man is None
        if label != "gender":
            assert photo.landmarks is not None
            np.testing.assert_allclose(photo.landmarks, expected_points(size), atol=1e-2)
        else:
            assert photo.landmarks is None


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_photo_that_its_camera_noted_to_lie_on_its_side_is_turned_upright(tmp_path: Path, mode: str) -> None:
    upright = Image.new(mode, (60, 80), "black")
    upright.paste("red", (0, 0, 60, 20))
    note = Image.Exif()
    note[0x0112] = 6  # the top of the stored picture is the right side of the scene
    upright.rotate(90, expand=True).save(tmp_path / "side.png", exif=note)
    found = open_photo(tmp_path / "side.png")
    assert found.size == (60, 80)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(upright.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_photo_whose_side_stands_in_its_xmp_alone_is_turned_too(tmp_path: Path, mode: str) -> None:
    note = PngInfo()
    note.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>')
    Image.new(mode, (80, 60), "red").save(tmp_path / "side.png", pnginfo=note)
    assert open_photo(tmp_path / "side.png").size == (60, 80)


def test_a_damaged_note_about_the_camera_does_not_cost_the_photo(sure_run: RunFolder, tmp_path: Path) -> None:
    Image.new("RGB", (60, 80), "blue").save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12broken")
    assert open_photo(tmp_path / "a.jpg").size == (60, 80)
    command = [sys.executable, SCRIPT, sure_run.path / "winners/gender", tmp_path / "a.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_note_of_which_another_part_is_damaged_still_turns_the_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = Image.Exif()
    note[0x0112] = 8
    Image.new("RGB", (60, 80), "blue").save(tmp_path / "a.jpg", exif=note)

    def damaged(*_: object) -> bytes:
        raise TypeError("a tag that cannot be written")

    monkeypatch.setattr(Image.Exif, "tobytes", damaged)
    assert open_photo(tmp_path / "a.jpg").size == (80, 60)


def test_the_table_has_celebas_columns_and_gaps_for_what_a_model_does_not_predict() -> None:
    points = np.arange(10, dtype=np.float32).reshape(5, 2) + 0.128
    table = photo_table(
        [Photo(Path("a.jpg"), (9, 9), 0.25, None), Photo(Path("b/c.png"), (9, 9), None, points)],
    )
    assert list(table) == ["image", "gender", "probability_man", *LANDMARK_COLUMNS]
    assert table["image"].tolist() == ["a.jpg", "b/c.png"]
    assert table["gender"].fillna("").tolist() == ["woman", ""]
    assert table.loc[0, "probability_man"] == 0.25
    assert table.loc[0, "lefteye_x":].isna().all()  # type: ignore[misc]  # a slice of labels
    assert table.loc[1, "lefteye_x":].tolist() == pytest.approx(points.ravel().tolist(), abs=0.005)  # type: ignore[misc]


def test_a_drawing_marks_the_landmarks_and_leaves_the_rest_as_it_was() -> None:
    photo = Photo(
        Path("a.jpg"), (100, 120), None, np.array([[20, 30], [80, 30], [50, 60], [30, 90], [70, 90]], np.float32)
    )
    drawn = np.asarray(drawn_photo(photo, Image.new("RGB", photo.size, "gray")))
    scale = 5  # the shorter side has at least 448 pixels
    assert drawn.shape == (scale * 120, scale * 100, 3)
    colour = np.array([int(MARK[i : i + 2], 16) for i in (1, 3, 5)])
    marked = (drawn == colour).all(axis=2)
    assert photo.landmarks is not None
    for x, y in (photo.landmarks + 0.5) * scale - 0.5:
        near = marked[int(y) - 12 : int(y) + 14, int(x) - 12 : int(x) + 14]
        rows, columns = np.nonzero(near)
        assert abs(rows.mean() + int(y) - 12 - y) < 1
        assert abs(columns.mean() + int(x) - 12 - x) < 1
        marked[int(y) - 12 : int(y) + 14, int(x) - 12 : int(x) + 14] = False
    assert not marked.any()


def test_an_answer_that_is_no_number_is_an_error(sure_run: RunFolder, photos: list[Path]) -> None:
    winner = read_winner(sure_run, "multitask")
    model = load_model(read_backbone(sure_run), winner, winner.folders[0], CPU)
    with torch.no_grad():
        model.get_parameter("heads.landmarks.6.bias")[3] = math.inf
    with pytest.raises(UserError, match=r"0\.jpg: the model's answer to it is not finite"):
        look_at(model, photos, Precision.FP32, CPU, lambda _: None)
