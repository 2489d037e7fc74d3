"""CelebA-mini: one image each of as many women as men, a CelebA folder of its own (section II.A)."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.atomic import new_folder
from core.celeba import (
    ATTRIBUTES_FILE,
    IDENTITY_FILE,
    IMAGE_FOLDER,
    LANDMARK_COLUMNS,
    LANDMARKS_FILE,
    CelebA,
    read_celeba,
)
from core.checks import whole
from core.crop import check_landmarks, check_upright, read_face
from core.errors import UserError

LEAST_PEOPLE = 20


@dataclass(frozen=True)
class MiniSummary:
    """What a CelebA-mini holds."""

    folder: Path
    faces: int
    identities: int
    women: int
    men: int


def build_mini(
    source: Path, out: Path, people: int = 500, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> MiniSummary:
    """Copy one image of each of ``people`` people, half of them women, with their annotations.

    The choice depends on the seed and the annotations, not on their order in the files. ``out`` is whole or absent.

    Args:
        source: A CelebA folder, as :func:`core.celeba.read_celeba` reads it, with identities.
        out: The new folder; absent or empty.
        people: Even, at least 20.
        seed: From 0 to 2^32 - 1.
        progress: Called with the images copied so far and their number.

    Raises:
        UserError: bad input, too few people, a damaged image, or an ``out`` that cannot be written.
    """
    whole(LEAST_PEOPLE, 10**9)("people", people)
    whole(0, 2**32 - 1)("seed", seed)
    if people % 2:
        raise UserError(f"--people {people}: must be even, half women and half men")
    out = Path(os.path.realpath(out))  # also of a link to itself
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: must be a new or an empty folder, something is there")
    table = read_celeba(source)
    rows = choose_faces(table, people, seed)
    _check_names([*table.attribute_names, *table.file[rows].tolist()], source)
    # Built in the nearest folder that exists, so that a failure leaves no new parents behind.
    home = next(parent for parent in out.parents if parent.exists())
    try:
        with new_folder(out, home / f".{out.name}.{os.getpid()}.partial") as partial:
            _copy_images(table, rows, partial / IMAGE_FOLDER, progress)
            _write_annotations(table, rows, partial)
            out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from None
    men = int(table.gender[rows].sum())
    return MiniSummary(out, len(rows), len(np.unique(table.identity[rows])), len(rows) - men, men)


def _check_names(names: Sequence[str], source: Path) -> None:
    """Raise a UserError for a name that Kaggle's tables can hold and the official ones, which we write, cannot."""
    for name in names:
        if len(name.split()) != 1 or not name.isprintable():
            raise UserError(f"{source}: names of attributes and chosen images must have no spaces, got {name!r}")


def choose_faces(table: CelebA, people: int, seed: int) -> NDArray[np.int64]:
    """Rows of one image each of ``people / 2`` women and as many men, sorted by file name.

    A person whose images disagree about gender is not chosen.

    Raises:
        UserError: identities are unknown, or too few.
    """
    if not table.identity_known:
        raise UserError(
            f"{table.folder}: must hold {IDENTITY_FILE}.txt to tell people apart, there is none (it is among CelebA's "
            "official annotations; scripts/search.py --data takes a folder without it as it is)"
        )
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(np.argsort(table.file))
    _, first, person, faces = np.unique(
        table.identity[shuffled], return_index=True, return_inverse=True, return_counts=True
    )
    as_man = np.bincount(person, weights=table.gender[shuffled])
    chosen = []
    for name, is_sure in (("women", as_man == 0), ("men", as_man == faces)):
        candidates = shuffled[first[is_sure]]  # one image a person, in the order of identities
        if len(candidates) < people // 2:
            need = f"{people} people need {people // 2} {name}"
            raise UserError(f"{table.folder}: {need} of different identities, there are {len(candidates)}")
        chosen.append(rng.permutation(candidates)[: people // 2])
    rows = np.concatenate(chosen)
    return rows[np.argsort(table.file[rows])]


def _copy_images(
    table: CelebA, rows: NDArray[np.int64], folder: Path, progress: Callable[[int, int], None] | None
) -> None:
    folder.mkdir()
    for done, row in enumerate(rows, 1):
        path = table.images / str(table.file[row])
        encoded, image = read_face(path)
        check_upright(image, path)
        check_landmarks(table.landmarks[row], image.size, path)
        (folder / path.name).write_bytes(encoded)
        if progress is not None:
            progress(done, len(rows))


def _write_annotations(table: CelebA, rows: NDArray[np.int64], folder: Path) -> None:
    """Write the three files as the official ones are; the identity file has neither count nor header."""
    attributes = [table.attribute_names, *table.attributes[rows].tolist()]
    landmarks = [LANDMARK_COLUMNS, *(map(_plain, points.ravel()) for points in table.landmarks[rows])]
    files = table.file[rows].tolist()
    for name, (header, *values) in ((ATTRIBUTES_FILE, attributes), (LANDMARKS_FILE, landmarks)):
        body = [f"{file} {' '.join(f'{value:>2}' for value in row)}" for file, row in zip(files, values, strict=True)]
        _write_lines(folder / f"{name}.txt", iter((str(len(rows)), " ".join(header), *body)))
    people = (f"{file} {person}" for file, person in zip(files, table.identity[rows], strict=True))
    _write_lines(folder / f"{IDENTITY_FILE}.txt", people)


def _plain(value: np.float32) -> str:
    """A coordinate as the official file writes it: the shortest digits that read back as the same float32."""
    return np.format_float_positional(value, trim="-")


def _write_lines(path: Path, lines: Iterator[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
