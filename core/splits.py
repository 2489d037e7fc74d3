"""Train, validation and test: 81, 9 and 10 % of the faces, alike in their share of women, nobody in two (II.B)."""

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.atomic import write_text
from core.errors import UserError
from core.faces import Faces
from core.names import MAN, WOMAN

PARTS = ("train", "validation", "test")
TEST_SHARE, VALIDATION_SHARE = 0.10, 0.09
HEADER = ["file", "split"]


@dataclass(frozen=True, eq=False)
class Split:
    """Indices of the faces of each part, sorted, int64."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def rows(self, file: NDArray[np.str_]) -> list[tuple[str, str]]:
        """(file name, part) of every face, by file name; ``file`` (N,) are the names of all faces."""
        return sorted((str(file[index]), part) for part in PARTS for index in getattr(self, part))

    def fingerprint(self, file: NDArray[np.str_]) -> str:
        """SHA-256 of which file is in which part, whatever the order of the files."""
        return hashlib.sha256(repr(self.rows(file)).encode()).hexdigest()


def split_faces(gender: NDArray[np.int64], identity: NDArray[np.int64], seed: int) -> Split:
    """Divide N faces: 405, 45 and 50 of 500, and the same shares of any number.

    Each gender's people are put in a random order and cut where 10 and 19 % of its faces are passed. With one face a
    person the sizes are exact, and of as many women as men each part has as many, give or take one; a person with
    several faces moves a cut by at most half of them.

    Raises:
        UserError: a part would be without women or without men.
    """
    people, person, faces = np.unique(identity, return_inverse=True, return_counts=True)
    is_man = 2 * np.bincount(person, weights=gender) > faces  # the majority, should a label be wrong
    shuffled = np.random.default_rng(seed).permutation(len(people))
    test = round(TEST_SHARE * len(gender))
    cuts = np.array([test, test + round(VALIDATION_SHARE * len(gender))])
    cuts_women = cuts * faces[~is_man].sum() // len(gender)
    part_of_person = np.empty(len(people), dtype=np.int64)
    for members, label_cuts in (
        (shuffled[~is_man[shuffled]], cuts_women),
        (shuffled[is_man[shuffled]], cuts - cuts_women),
    ):
        middle = np.cumsum(faces[members]) - faces[members] / 2  # of a person's faces, in a row of all faces
        part_of_person[members] = np.searchsorted(label_cuts, middle)
    part = part_of_person[person]
    split = Split(train=np.flatnonzero(part == 2), validation=np.flatnonzero(part == 1), test=np.flatnonzero(part == 0))
    _check_both_genders(split, gender)
    return split


def _check_both_genders(split: Split, gender: NDArray[np.int64]) -> None:
    for part in PARTS:
        for label, name in ((WOMAN, "women"), (MAN, "men")):
            if not (gender[getattr(split, part)] == label).any():
                count = int((gender == label).sum())
                rule = "train, validation and test must each hold women and men"
                raise UserError(f"too few faces: {rule}, {part} gets no {name} of {count} among {len(gender)} faces")


def write_split(path: Path, faces: Faces, split: Split) -> None:
    """Write ``file,split`` rows; the file is whole or not there."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *split.rows(faces.file)])
    write_text(path, text.getvalue())


def read_split(path: Path, faces: Faces) -> Split:
    """Read what :func:`write_split` wrote, for the same faces.

    Raises:
        UserError: the file cannot be read, or does not put each face in one part and nothing else.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: must be a comma-separated UTF-8 table ({error})") from None
    if header != HEADER:
        raise UserError(f"{path}, line 1: must be {','.join(HEADER)!r}, got {','.join(header)[:80]!r}")
    index_of = {name: index for index, name in enumerate(faces.file.tolist())}
    found: dict[str, list[int]] = {part: [] for part in PARTS}
    for line, row in enumerate(rows, 2):
        if len(row) != 2 or row[1] not in PARTS:
            raise UserError(f"{path}, line {line}: must be a file and {', '.join(PARTS)}, got {','.join(row)[:80]!r}")
        if row[0] not in index_of:
            raise UserError(f"{path}, line {line}: must name a face of {faces.source} once, got {row[0][:80]!r}")
        found[row[1]].append(index_of.pop(row[0]))
    if index_of:
        raise UserError(f"{path}: must name every face of {faces.source}, {next(iter(index_of))} is missing")
    return Split(**{part: np.array(sorted(found[part]), dtype=np.int64) for part in PARTS})
