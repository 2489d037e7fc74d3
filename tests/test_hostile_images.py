"""Image folders that somebody else made: names and links that lead out of them, and images that fill the memory."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from test_structure import ROOT
from tiny_celeba import SIZE, replace, rows, write_celeba

from benchmarks.fuzz_folder import bomb
from core.celeba import read_celeba
from core.crop import MOST_PIXELS, read_face
from core.errors import UserError
from core.faces import load_celeba_faces
from core.mini import build_mini

OUTSIDE = [
    "../secret.jpg",
    "..\\secret.jpg",
    "img_align_celeba/../../secret.jpg",
    "..",
    ".",
    "a\x00b.jpg",
    "C:\\secret.jpg",
]


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    """A folder with a secret image beside it."""
    Image.new("RGB", SIZE).save(tmp_path / "secret.jpg")
    return write_celeba(tmp_path / "celeba", rows())


def refused(celeba: Path, rule: str) -> None:
    """A search and ``prepare_celeba`` refuse the folder in the same words, and write nothing."""
    scratch = celeba.parent / "scratch"
    for use in (
        lambda: load_celeba_faces(celeba, scratch / "cache"),
        lambda: build_mini(celeba, scratch / "mini", 20),
    ):
        with pytest.raises(UserError, match=rule):
            use()
    assert not (scratch / "mini").exists()
    assert [path for path in (scratch / "cache").glob("**/*") if path.suffix != ".lock"] == []


@pytest.mark.parametrize("name", [*OUTSIDE, "/absolute"])
@pytest.mark.parametrize("table", ["list_attr_celeba", "list_landmarks_align_celeba", "identity_CelebA"])
def test_a_name_in_the_annotations_cannot_leave_the_image_folder(celeba: Path, name: str, table: str) -> None:
    for path in celeba.glob("*.txt"):
        replace(path, "000001.jpg", name.replace("/absolute", str(celeba.parent / "secret.jpg")))
    for path in celeba.glob("*.txt"):
        if path.stem != table:
            replace(path, name.replace("/absolute", str(celeba.parent / "secret.jpg")), "000001.jpg")
    refused(celeba, rf"{table}\.txt, line \d+: must begin with a plain file name that stays in the image folder")


@pytest.mark.parametrize("target", ["../../secret.jpg", "/etc/passwd", "..", "000001.jpg"])
def test_a_link_out_of_the_image_folder_or_to_itself_is_refused(celeba: Path, target: str) -> None:
    image = celeba / "img_align_celeba" / "000001.jpg"
    image.unlink()
    image.symlink_to(target)
    loop = target == image.name
    refused(
        celeba, "cannot be read|the image must be in" if loop else r"000001\.jpg: a link in the image folder must stay"
    )


def test_a_link_within_the_image_folder_and_a_linked_data_folder_are_read(celeba: Path, tmp_path: Path) -> None:
    image = celeba / "img_align_celeba" / "000001.jpg"
    image.rename(image.with_name("real.jpg"))
    image.symlink_to("real.jpg")
    (tmp_path / "linked").symlink_to(celeba)
    assert len(read_celeba(tmp_path / "linked").file) == 24
    assert len(load_celeba_faces(tmp_path / "linked", tmp_path / "cache")) == 24


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [7_500, 10_000, 12_000, 100_000])  # Pillow takes, takes, warns of, refuses these
def test_an_image_that_claims_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    (tmp_path / "a.jpg").write_bytes(bomb(side, side))
    with pytest.raises(UserError, match=rf"a\.jpg: must have at most {MOST_PIXELS} pixels, it has") as error:
        read_face(tmp_path / "a.jpg")
    assert "DecompressionBomb" not in str(error.value)


@pytest.mark.parametrize(("side", "size"), [(100_000, "far more"), (10_000, r"far more|10000 x 10000")])
def test_a_user_sees_one_line_about_a_decompression_bomb(celeba: Path, tmp_path: Path, side: int, size: str) -> None:
    for image in (celeba / "img_align_celeba").iterdir():
        image.write_bytes(bomb(side, side))
    command = [
        sys.executable,
        ROOT / "scripts/prepare_celeba.py",
        "--celeba",
        celeba,
        "--out",
        tmp_path / "out",
        "--people",
        "20",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: .*/\d+\.jpg: must have at most {MOST_PIXELS} pixels, it has ({size})\n", done.stderr)
    assert not (tmp_path / "out").exists()
