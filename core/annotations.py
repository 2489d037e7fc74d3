"""Reading one annotation table: file name and numbers, as CelebA's authors (.txt) or Kaggle (.csv) write it."""

import reprlib
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import UserError

IMAGE_ID = "image_id"  # Kaggle's name for the first column; the official headers leave that column out


@dataclass(frozen=True)
class Table:
    """A row of numbers for each of N image files."""

    path: Path
    first_line: int
    """Line of the file, counted from 1, that holds row 0."""

    columns: tuple[str, ...]
    file: NDArray[np.str_]
    values: NDArray[np.float64]
    """Shape (N, columns), all finite."""

    def place(self, row: int) -> str:
        """Where a row stands, for a message."""
        return f"{self.path}, line {self.first_line + row} ({self.file[row]})"

    def columns_named(self, names: tuple[str, ...]) -> NDArray[np.float64]:
        """Some columns in the order of ``names``, shape (N, names)."""
        return self.values[:, [self.columns.index(name) for name in names]]

    def rows_of(self, other: "Table") -> NDArray[np.int64]:
        """This table's row for each row of ``other``; files that ``other`` does not list are left out.

        Raises:
            UserError: a file that ``other`` lists has no row here.
        """
        row_of = {file: row for row, file in enumerate(self.file.tolist())}
        rows = [row_of.get(file, -1) for file in other.file.tolist()]
        if -1 in rows:
            missing = rows.index(-1)
            raise UserError(f"{other.place(missing)}: an image listed here must be listed in {self.path} too")
        return np.array(rows, dtype=np.int64)


def read_table(path: Path, required: tuple[str, ...], *, header: bool = True) -> Table:
    """Read a table; its first line may be the number of rows, as in the official files.

    Args:
        path: A ``.csv`` file has commas between its values, any other white space.
        required: Columns that must be there, or all columns of a table without header.
        header: Whether a line names the columns. Kaggle's, which begins with ``image_id``, may come in any table.

    Raises:
        UserError: the file, its line, and the rule that it breaks.
    """
    is_csv = path.suffix.lower() == ".csv"
    fields: Callable[[str], list[str]] = _comma_separated if is_csv else str.split
    lines = _lines(path)
    start, count, columns = 0, None, required
    if lines[0].strip().isdecimal():
        start, count = 1, lines[0].strip()
    names = fields(lines[start]) if start < len(lines) else []
    if header:
        columns = tuple(names[1:] if is_csv or names[:1] == [IMAGE_ID] else names)
        start += 1
        _check_columns(columns, required, f"{path}, line {start}")
    elif names[:1] == [IMAGE_ID]:
        start += 1
    if start >= len(lines):
        raise UserError(f"{path}: must hold at least one row, got none")
    file, values = _parse(path, start + 1, map(fields, lines[start:]), len(columns))
    if count is not None and count.lstrip("0") != str(len(file)):
        raise UserError(f"{path}, line 1: the count must be the number of rows, {len(file)}, got {reprlib.repr(count)}")
    table = Table(path, start + 1, columns, file, values)
    _check_listed_once(table)
    _check_finite(table)
    return table


def read_annotations(path: Path) -> bytes:
    """The bytes of an annotation file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _lines(path: Path) -> list[str]:
    content = read_annotations(path)
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: must be UTF-8 text, got byte 0x{content[error.start]:02x}") from None
    if not text.strip():
        raise UserError(f"{path}: must hold at least one row, got an empty file")
    return text.rstrip().split("\n")  # splitlines would also split at rarer characters


def _comma_separated(line: str) -> list[str]:
    return [value.strip() for value in line.split(",")]


def _check_columns(columns: tuple[str, ...], required: tuple[str, ...], place: str) -> None:
    for name in required:
        if columns.count(name) != 1:
            raise UserError(f"{place}: the header must name a column {name} once, got {columns.count(name)} times")


def _parse(
    path: Path, first_line: int, rows: Iterable[list[str]], width: int
) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    names, values = [], array("d")
    for line, row in enumerate(rows, first_line):
        name = row[0] if row else ""
        if not _is_plain_name(name):
            rule = "must begin with a plain file name that stays in the image folder"
            raise UserError(f"{path}, line {line}: {rule}, got {reprlib.repr(name)}")
        if len(row) != width + 1:
            noun = "value" if width == 1 else "values"
            raise UserError(f"{path}, line {line} ({name}): must hold {width} {noun}, got {len(row) - 1}")
        try:
            values.extend(map(float, row[1:]))
        except ValueError:
            bad = next(text for text in row[1:] if not _is_number(text))
            raise UserError(f"{path}, line {line} ({name}): must hold numbers, got {reprlib.repr(bad)}") from None
        names.append(name)
    return np.array(names), np.array(values).reshape(len(names), width)


def _is_plain_name(name: str) -> bool:
    # No file system has names above 255 characters, and one such name would widen the whole array of names.
    return name.isprintable() and not {"/", "\\"} & set(name) and name not in {"", ".", ".."} and len(name) <= 255


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_listed_once(table: Table) -> None:
    row_of: dict[str, int] = {}
    for row, file in enumerate(table.file.tolist()):
        if file in row_of:
            earlier = table.first_line + row_of[file]
            raise UserError(f"{table.place(row)}: an image must be listed once, this one is on line {earlier} too")
        row_of[file] = row


def _check_finite(table: Table) -> None:
    bad = np.argwhere(~np.isfinite(table.values))
    if len(bad):
        row, column = bad[0]
        value = table.values[row, column]
        raise UserError(f"{table.place(row)}: {table.columns[column]} must be a finite number, got {value}")
