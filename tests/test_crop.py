import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from core import crop
from core.errors import UserError

SIDES = st.integers(30, 290)


def noise(size: tuple[int, int]) -> Image.Image:
    width, height = size
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8))


@settings(deadline=None, max_examples=30)
@given(st.tuples(SIDES, SIDES))
def test_the_crop_is_torchvisions_to_the_pixel(size: tuple[int, int]) -> None:
    image = noise(size)
    expected = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(image)
    assert np.array_equal(np.asarray(crop.crop_face(image)), np.asarray(expected))


@settings(deadline=None, max_examples=20)
@given(st.tuples(st.integers(150, 300), st.integers(150, 300)), st.floats(0.4, 0.6), st.floats(0.4, 0.6))
def test_landmarks_stay_on_the_spot_that_they_mark(size: tuple[int, int], right: float, down: float) -> None:
    spot = np.array([right, down]) * size
    y, x = np.mgrid[: size[1], : size[0]]
    light = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * 6**2))
    image = Image.fromarray(np.repeat(light[..., None], 3, axis=2).round().astype(np.uint8))
    cropped = np.asarray(crop.crop_face(image), dtype=float)[..., 0]
    rows, columns = np.mgrid[:224, :224]
    centroid = np.array([(columns * cropped).sum(), (rows * cropped).sum()]) / cropped.sum()
    moved = crop.crop_landmarks(np.tile(spot, (5, 1)).astype(np.float32), size)
    np.testing.assert_allclose(moved, np.tile(centroid, (5, 1)), atol=0.05)  # half a pixel's neglect costs up to 0.35


def test_the_first_and_last_pixel_of_an_image_are_inside_and_the_next_is_not() -> None:
    inside = np.array([[0, 0], [177, 0], [0, 217], [177, 217], [177.9, 217.9]], np.float32)
    crop.check_landmarks(inside, (178, 218), Path("a.jpg"))
    for row, column, value, message in (
        (1, 0, 178, "a.jpg: landmark right_eye must have 0 <= x < 178, got 178"),
        (4, 1, 218, "a.jpg: landmark right_mouth must have 0 <= y < 218, got 218"),
        (0, 1, -0.5, "a.jpg: landmark left_eye must have 0 <= y < 218, got -0.5"),
    ):
        outside = inside.copy()
        outside[row, column] = value
        with pytest.raises(UserError) as error:
            crop.check_landmarks(outside, (178, 218), Path("a.jpg"))
        assert str(error.value) == message


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "PNG"), ("P", "PNG"), ("1", "PNG")]
)
def test_every_colour_mode_becomes_rgb(tmp_path: Path, mode: str, kind: str) -> None:
    grey = Image.new("L", (30, 40), 255).convert(mode)
    grey.save(tmp_path / "a.jpg", kind)
    encoded, image = crop.read_face(tmp_path / "a.jpg")
    assert (image.mode, image.size) == ("RGB", (30, 40))
    assert (np.asarray(image) >= 254).all()
    assert encoded == (tmp_path / "a.jpg").read_bytes()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white_whatever_colour_hides_there(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (30, 40), (0, 0, 0, 0))
    image.paste((255, 255, 255, 255) if mode == "LA" else (200, 100, 50, 255), (0, 20, 30, 40))
    image.paste((0, 0, 0, 128), (0, 0, 30, 5))
    (image.quantize(8) if mode == "P" else image.convert(mode)).save(tmp_path / "a.png")
    with warnings.catch_warnings(action="error"):
        found = np.asarray(crop.read_face(tmp_path / "a.png")[1]).astype(int)
    assert abs(found[:5] - 127).max() <= 2
    assert (found[5:20] >= 253).all()
    expected = (255, 255, 255) if mode == "LA" else (200, 100, 50)
    assert abs(found[20:] - expected).max() <= 2


def damaged(kind: str, path: Path) -> None:
    noise((60, 80)).save(path, "PNG" if kind == "png" else "JPEG")
    whole = path.read_bytes()
    contents = {
        "half": whole[: len(whole) // 2],
        "png": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"not an image",
    }
    if kind == "format":
        noise((60, 80)).save(path, "BMP")
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "missing":
        path.unlink()
    else:
        path.write_bytes(contents[kind])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        *((kind, r"must be a whole JPEG or PNG image, decoding it failed \(.+\)") for kind in ("half", "png")),
        *((kind, "must be a JPEG or PNG image, it is neither") for kind in ("empty", "text", "format")),
        ("folder", r"cannot be read \(Is a directory\)"),
        ("missing", r"cannot be read \(No such file or directory\)"),
    ],
)
def test_what_is_no_whole_image_is_an_error_that_names_the_file(tmp_path: Path, kind: str, words: str) -> None:
    damaged(kind, tmp_path / "a.jpg")
    with pytest.raises(UserError, match=rf"a\.jpg: {words}$"):
        crop.read_face(tmp_path / "a.jpg")


def test_an_image_of_too_many_pixels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise((20, 40)).save(tmp_path / "a.jpg", "JPEG")
    monkeypatch.setattr(crop, "MOST_PIXELS", 800)
    assert crop.read_face(tmp_path / "a.jpg")[1].size == (20, 40)
    monkeypatch.setattr(crop, "MOST_PIXELS", 799)
    with pytest.raises(UserError, match=r"a\.jpg: must have at most 799 pixels, it has 20 x 40$"):
        crop.read_face(tmp_path / "a.jpg")


def test_a_file_of_too_many_bytes_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(10**12)  # a hole: it takes no room on the disk, and would not fit into memory
    with pytest.raises(UserError, match=r"a\.jpg: must have at most 200 MB, it has more"):
        crop.read_face(tmp_path / "a.jpg")


def test_a_long_strip_is_refused_before_it_is_resized(tmp_path: Path) -> None:
    noise((10, 100)).save(tmp_path / "a.jpg", "JPEG")
    assert crop.crop_face(crop.read_face(tmp_path / "a.jpg")[1]).size == (224, 224)
    noise((10, 101)).save(tmp_path / "b.jpg", "JPEG")
    with pytest.raises(UserError, match=r"b\.jpg: the longer side must be at most 10 times the shorter, got 10 x 101"):
        crop.read_face(tmp_path / "b.jpg")


def test_an_image_of_16_bits_a_channel_is_refused_and_the_same_in_8_is_read(tmp_path: Path) -> None:
    grey = np.arange(30 * 40).reshape(30, 40)
    Image.fromarray((grey * 50).astype(np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png: must have 8 bits a channel, it has more$"):
        crop.read_face(tmp_path / "a.png")
    Image.fromarray((grey % 256).astype(np.uint8)).save(tmp_path / "b.png")
    assert np.array_equal(np.asarray(crop.read_face(tmp_path / "b.png")[1])[..., 0], grey % 256)
