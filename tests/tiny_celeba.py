"""A small CelebA folder in the official format, made of plain coloured images, for the tests of all that reads one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ATTRIBUTES = (
    [f"Attribute_{index}" for index in range(20)] + ["Male"] + [f"Attribute_{index}" for index in range(21, 40)]
)
LANDMARKS = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
SIZE = (40, 50)  # of an image, width and height


@dataclass(frozen=True)
class Row:
    """What the three files say of one image."""

    file: str
    attributes: list[int]
    landmarks: list[int]
    identity: int

    @property
    def is_man(self) -> bool:
        return self.attributes[20] == 1


def rows(women: int = 12, men: int = 12, images_each: int = 1) -> list[Row]:
    """Rows with made-up values, women and men in turn while there are both."""
    genders = sorted([(i, -1) for i in range(women)] + [(i, 1) for i in range(men)])
    rng = np.random.default_rng(7)
    found = []
    for identity, (_, male) in enumerate(genders, start=100):
        for _ in range(images_each):
            attributes = rng.choice([-1, 1], 40).tolist()
            attributes[20] = male
            landmarks = rng.integers(0, 40, 10).tolist()
            landmarks[0], landmarks[2] = 10, 30  # eyes are two points
            found.append(Row(f"{len(found) + 1:06}.jpg", attributes, landmarks, identity))
    return found


def write_images(folder: Path, table: list[Row]) -> None:
    images = folder / "img_align_celeba"
    images.mkdir(parents=True)
    for row in table:
        Image.new("RGB", SIZE, tuple(row.landmarks[4:7])).save(images / row.file, "JPEG")


def write_txt(folder: Path, table: list[Row]) -> None:
    """The official files: two with a count and a header, one with neither."""
    count = str(len(table))
    attributes = [count, " ".join(ATTRIBUTES) + " "]
    attributes += [f"{row.file} {' '.join(f'{value:>2}' for value in row.attributes)}" for row in table]
    landmarks = [count, LANDMARKS + " "]
    landmarks += [f"{row.file} {' '.join(f'{value:>4}' for value in row.landmarks)}" for row in table]
    identity = [f"{row.file} {row.identity}" for row in table]
    write_lines(folder / "list_attr_celeba.txt", attributes)
    write_lines(folder / "list_landmarks_align_celeba.txt", landmarks)
    write_lines(folder / "identity_CelebA.txt", identity)


def write_csv(folder: Path, table: list[Row]) -> None:
    """Kaggle's files."""
    attributes = [",".join(["image_id", *ATTRIBUTES])]
    attributes += [",".join(map(str, [row.file, *row.attributes])) for row in table]
    landmarks = [",".join(["image_id", *LANDMARKS.split()])]
    landmarks += [",".join(map(str, [row.file, *row.landmarks])) for row in table]
    write_lines(folder / "list_attr_celeba.csv", attributes)
    write_lines(folder / "list_landmarks_align_celeba.csv", landmarks)
    write_lines(folder / "identity_CelebA.csv", ["image_id,identity", *(f"{r.file},{r.identity}" for r in table)])


def write_celeba(folder: Path, table: list[Row]) -> Path:
    write_images(folder, table)
    write_txt(folder, table)
    return folder


def write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def replace(path: Path, old: str, new: str) -> None:
    """Replace one text that must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text, old
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def replace_line(path: Path, number: int, line: str) -> None:
    """Replace a line, counted from 1."""
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[number - 1] = line
    write_lines(path, lines)
