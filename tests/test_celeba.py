import os
import re
from pathlib import Path

import numpy as np
import pytest
from tiny_celeba import ATTRIBUTES, Row, replace, replace_line, rows, write_celeba, write_csv, write_images, write_txt

from core.celeba import LANDMARK_COLUMNS, CelebA, read_celeba, scan_images
from core.errors import UserError


def assert_says(read: CelebA, table: list[Row]) -> None:
    assert read.file.tolist() == [row.file for row in table]
    assert read.gender.tolist() == [int(row.is_man) for row in table]
    assert read.identity.tolist() == [row.identity for row in table]
    assert read.landmarks.reshape(-1, 10).tolist() == [row.landmarks for row in table]
    assert read.attributes.tolist() == [row.attributes for row in table]
    assert read.attribute_names == tuple(ATTRIBUTES)
    assert (read.landmarks.dtype, read.gender.dtype, read.identity.dtype) == (np.float32, np.int64, np.int64)
    assert read.identity_known


def test_landmark_columns_are_named_as_in_the_official_file() -> None:
    official = (
        "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
    )
    assert official.split() == list(LANDMARK_COLUMNS)


def test_the_official_files_are_read(tmp_path: Path) -> None:
    table = rows()
    assert_says(read_celeba(write_celeba(tmp_path, table)), table)


def test_the_files_from_kaggle_are_read_and_their_nested_folder_found(tmp_path: Path) -> None:
    table = rows()
    write_images(tmp_path / "img_align_celeba", table)
    write_csv(tmp_path, table)
    read = read_celeba(tmp_path)
    assert_says(read, table)
    assert read.images == tmp_path / "img_align_celeba" / "img_align_celeba"


def test_rows_are_joined_by_file_name_and_rows_of_other_images_ignored(tmp_path: Path) -> None:
    table = rows()
    write_celeba(tmp_path, table)
    attributes = (tmp_path / "list_attr_celeba.txt").read_text()
    write_txt(tmp_path, [*table[::-1], Row("unlisted.jpg", [1] * 40, list(range(10)), 5)])
    (tmp_path / "list_attr_celeba.txt").write_text(attributes)
    assert_says(read_celeba(tmp_path), table)


def test_landmark_columns_are_found_by_name(tmp_path: Path) -> None:
    write_celeba(tmp_path, rows())
    path = tmp_path / "list_landmarks_align_celeba.txt"
    replace(path, "lefteye_x lefteye_y righteye_x righteye_y", "righteye_x righteye_y lefteye_x lefteye_y")
    assert read_celeba(tmp_path).landmarks[0, :2].ravel().tolist() == [
        rows()[0].landmarks[column] for column in (2, 3, 0, 1)
    ]


def test_without_an_identity_file_each_image_is_a_person_and_the_table_says_so(tmp_path: Path) -> None:
    write_celeba(tmp_path, rows(images_each=2))
    (tmp_path / "identity_CelebA.txt").unlink()
    read = read_celeba(tmp_path)
    assert not read.identity_known
    assert len(np.unique(read.identity)) == len(read.file) == 48


def test_an_image_folder_that_is_itself_a_link_is_read(tmp_path: Path) -> None:
    write_celeba(tmp_path / "a", rows())
    (tmp_path / "a" / "img_align_celeba").rename(tmp_path / "elsewhere")
    (tmp_path / "a" / "img_align_celeba").symlink_to(tmp_path / "elsewhere")
    assert len(read_celeba(tmp_path / "a").file) == 24


def test_a_link_that_stays_in_the_image_folder_counts_as_an_image_and_one_that_leaves_is_refused(
    tmp_path: Path,
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.jpg").write_bytes(b"123")
    (images / "b.jpg").symlink_to("a.jpg")
    os.utime(images / "a.jpg", ns=(5, 7))
    found = scan_images(images)
    assert {name: (stat.size, stat.mtime_ns) for name, stat in found.items()} == {"a.jpg": (3, 7), "b.jpg": (3, 7)}
    (tmp_path / "secret").touch()
    (images / "c.jpg").symlink_to("../secret")
    with pytest.raises(UserError, match=r"c\.jpg: a link in the image folder must stay in it"):
        scan_images(images)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_landmark_farther_off_than_any_image_is_wide_is_refused_with_its_line(tmp_path: Path, sign: int) -> None:
    table = rows()
    path = write_celeba(tmp_path, table) / "list_landmarks_align_celeba.txt"
    assert path.read_text().splitlines()[4].startswith(table[2].file)  # behind a count and a header
    replace_line(path, 5, f"{table[2].file} 10 20 30 {sign * 1_000_000} 5 6 7 8 9 10")
    assert read_celeba(tmp_path).landmarks[2, 1].tolist() == [30, sign * 1_000_000]
    replace_line(path, 5, f"{table[2].file} 10 20 30 {sign * 1_000_010} 5 6 7 8 9 10")
    told = re.escape(f"{path}, line 5 ({table[2].file}): righteye_y must lie in the image, got {sign}.00001e+06")
    with pytest.raises(UserError, match=f"^{told}$"):
        read_celeba(tmp_path)


def test_the_real_excerpt_is_read() -> None:
    if "TANDEM_CELEBA" not in os.environ:
        pytest.skip("TANDEM_CELEBA names no CelebA folder")
    read = read_celeba(Path(os.environ["TANDEM_CELEBA"]))
    assert len(read.attribute_names) == 40
    assert len(np.unique(read.identity[read.gender == 1])) >= 250
    # The images are aligned by the eyes, which lie near x = 69 and 108, y = 111.
    np.testing.assert_allclose(np.median(read.landmarks[:, :2], axis=0), [[69, 111], [108, 111]], atol=2)
