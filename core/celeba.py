"""A CelebA folder: its annotation files, checked and joined, and the image files that they speak of.

Official names are ``list_attr_celeba.txt``, ``list_landmarks_align_celeba.txt``, ``identity_CelebA.txt`` and the folder
``img_align_celeba``; Kaggle's copy ends in ``.csv`` and nests the image folder in one of the same name.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.annotations import Table, read_table
from core.errors import UserError
from core.names import LANDMARKS, LEFT_EYE, RIGHT_EYE

ATTRIBUTES_FILE = "list_attr_celeba"
LANDMARKS_FILE = "list_landmarks_align_celeba"
IDENTITY_FILE = "identity_CelebA"
IMAGE_FOLDER = "img_align_celeba"
GENDER_ATTRIBUTE = "Male"
FARTHEST_PX = 1e6  # no image that we read is as wide; float32 holds such coordinates
LANDMARK_COLUMNS = tuple(f"{name.replace('_', '')}_{axis}" for name in LANDMARKS for axis in "xy")  # lefteye_x, ...


@dataclass(frozen=True)
class CelebA:
    """The annotations of N images, in the order of the attribute file."""

    folder: Path
    images: Path
    """The folder in it that holds the image files."""

    file: NDArray[np.str_]

    gender: NDArray[np.int64]
    """1 for a man, 0 for a woman."""

    identity: NDArray[np.int64]

    identity_known: bool
    """False if the folder has no identity file; each image is then taken for a person of its own."""

    landmarks: NDArray[np.float32]
    """Pixels of the image file, shape (N, 5, 2). That they lie in it is checked when it is decoded."""

    attributes: NDArray[np.int8]
    """-1 or 1, shape (N, attributes)."""

    attribute_names: tuple[str, ...]


@dataclass(frozen=True)
class ImageStat:
    """What tells one version of an image file from another without reading it."""

    size: int
    mtime_ns: int


def read_celeba(folder: Path) -> CelebA:
    """Read and check the annotations, and that every image they list is there.

    Raises:
        UserError: a file is missing, or a row breaks a rule; the message names the file, the line and the rule.
    """
    attributes_path, landmarks_path, identity_path = annotation_files(folder)
    attributes = read_table(attributes_path, (GENDER_ATTRIBUTE,))
    labels = _attributes(attributes)
    landmarks = read_table(landmarks_path, LANDMARK_COLUMNS)
    points = _landmarks(landmarks)[landmarks.rows_of(attributes)]
    identity = np.arange(len(labels), dtype=np.int64)
    if identity_path is not None:
        people = read_table(identity_path, ("identity",), header=False)
        identity = _identity(people)[people.rows_of(attributes)]
    images = image_folder(folder)
    _check_images_exist(attributes, images)
    return CelebA(
        folder=folder,
        images=images,
        file=attributes.file,
        gender=(labels[:, attributes.columns.index(GENDER_ATTRIBUTE)] == 1).astype(np.int64),
        identity=identity,
        identity_known=identity_path is not None,
        landmarks=points,
        attributes=labels,
        attribute_names=attributes.columns,
    )


def annotation_files(folder: Path) -> tuple[Path, Path, Path | None]:
    """Paths of the attribute, landmark and identity file (None if there is none); ``.txt`` goes before ``.csv``.

    Raises:
        UserError: the folder, its attribute file or its landmark file is missing.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: must be a folder with CelebA's annotation files, there is none")
    needed = []
    for name in (ATTRIBUTES_FILE, LANDMARKS_FILE):
        path = _annotation_file(folder, name)
        if path is None:
            raise UserError(f"{folder}: must hold {name}.txt or {name}.csv, there is neither")
        needed.append(path)
    return needed[0], needed[1], _annotation_file(folder, IDENTITY_FILE)


def _annotation_file(folder: Path, name: str) -> Path | None:
    paths = (folder / f"{name}{ending}" for ending in (".txt", ".csv"))
    return next((path for path in paths if path.is_file()), None)


def image_folder(folder: Path) -> Path:
    """The folder of image files, nested in itself or not.

    Raises:
        UserError: there is none.
    """
    outer = folder / IMAGE_FOLDER
    if not outer.is_dir():
        raise UserError(f"{folder}: must hold a folder {IMAGE_FOLDER} with the images, there is none")
    inner = outer / IMAGE_FOLDER
    return inner if inner.is_dir() else outer


def scan_images(images: Path) -> dict[str, ImageStat]:
    """Size and time of every file in an image folder, by name, in one pass over the folder.

    Raises:
        UserError: a link leads out of the folder, or the folder cannot be read.
    """
    inside = Path(os.path.realpath(images))
    found = {}
    try:
        with os.scandir(images) as entries:
            for entry in entries:
                # Path.resolve would raise a RuntimeError for a link that leads to itself.
                if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(inside):
                    raise UserError(f"{entry.path}: a link in the image folder must stay in it")
                if entry.is_file():
                    stat = entry.stat()
                    found[entry.name] = ImageStat(stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise UserError(f"{images}: cannot be read ({error.strerror})") from None
    return found


def _attributes(table: Table) -> NDArray[np.int8]:
    bad = np.argwhere(np.abs(table.values) != 1)
    if len(bad):
        row, column = bad[0]
        value = table.values[row, column]
        raise UserError(f"{table.place(row)}: {table.columns[column]} must be -1 or 1, got {value:g}")
    return table.values.astype(np.int8)


def _landmarks(table: Table) -> NDArray[np.float32]:
    values = table.columns_named(LANDMARK_COLUMNS)
    bad = np.argwhere(np.abs(values) > FARTHEST_PX)
    if len(bad):
        row, column = bad[0]
        value = values[row, column]
        raise UserError(f"{table.place(row)}: {LANDMARK_COLUMNS[column]} must lie in the image, got {value:g}")
    points = values.astype(np.float32).reshape(-1, len(LANDMARKS), 2)
    # The distance between the eyes is the unit of the landmarks' error (equation 14), so it must not be 0.
    same = np.flatnonzero((points[:, LEFT_EYE] == points[:, RIGHT_EYE]).all(axis=1))
    if len(same):
        x, y = points[same[0], LEFT_EYE]
        raise UserError(f"{table.place(same[0])}: the eyes must be two points, both are at ({x:g}, {y:g})")
    # Errors are told as parts of what the mean face has, which must not be 0.
    if len(points) > 1 and (points == points[0]).all():
        raise UserError(f"{table.path}: landmarks must differ from face to face, all {len(points)} have the same")
    return points


def _identity(table: Table) -> NDArray[np.int64]:
    numbers = table.values[:, 0]
    bad = np.flatnonzero((numbers != np.floor(numbers)) | (np.abs(numbers) > 2**53))
    if len(bad):
        raise UserError(f"{table.place(bad[0])}: an identity must be a whole number, got {numbers[bad[0]]:g}")
    return numbers.astype(np.int64)


def _check_images_exist(table: Table, images: Path) -> None:
    found = scan_images(images)
    missing = [row for row, file in enumerate(table.file.tolist()) if file not in found]
    if missing:
        more = f", and of {len(missing) - 1} others neither" if len(missing) > 1 else ""
        raise UserError(f"{table.place(missing[0])}: the image must be in {images}, there is none{more}")
