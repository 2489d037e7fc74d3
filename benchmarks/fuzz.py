"""Do damaged files ever give anything but a result or one clear line?

    python -m benchmarks.fuzz                                          # 1,000 folders, 10,000 inputs a reader
    python -m benchmarks.fuzz --reader space --seed 3 --first 17 --inputs 1     # one input again

A CelebA folder is damaged at random and given to what a search and ``prepare_celeba`` do with it, and every other
reader is given changed versions of a valid file or content of no kind. Counts results, clear errors (a ``UserError`` of
one printable line that names the file) and others: any other exception, a warning, another message, or more than 20
seconds. Others are printed with their number. Appends to fuzz.csv in benchmarks/results; exit code 1 if there were any.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import PIL

from benchmarks.fuzz_folder import IMAGES, damage, read_folder, write_folder
from benchmarks.fuzz_readers import readers
from benchmarks.fuzz_run import small_run
from benchmarks.record import append_rows
from benchmarks.table import Row, text_table
from core.errors import LONGEST_MESSAGE, UserError
from core.faces import load_drawn_faces

RESULTS = Path(__file__).parent / "results" / "fuzz.csv"
SECONDS = 20.0  # that one input may take; the slowest valid one takes under one
FOLDER = "CelebA folder"
RESULT, CLEAR, OTHER = "results", "clear_errors", "others"
COLUMNS = ("reader", "inputs", RESULT, CLEAR, OTHER, "slowest_s")


class TooSlowError(BaseException):
    """An input took too long; no reader may catch it as an error of the file."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End the block with :class:`TooSlowError` after so many seconds."""

    def end(*_: object) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, end)
    began, (left, _) = time.monotonic(), signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:  # of somebody else's alarm, which goes on
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, left - (time.monotonic() - began)))


def outcome(read: Callable[[], object], place: str, seconds: float = SECONDS) -> tuple[str, str]:
    """What came of one input, and its message; ``place`` is what a clear one must name."""
    try:
        with warnings.catch_warnings(record=True) as heard, time_limit(seconds):
            read()
    except UserError as error:
        text = str(error)
        clear = text.isprintable() and len(text) <= LONGEST_MESSAGE + 10 and place in text
        kind = CLEAR if clear else OTHER
    except TooSlowError:
        kind, text = OTHER, f"more than {seconds:g} s"
    except Exception as error:  # whatever it is, a user would see its traceback
        kind, text = OTHER, f"{type(error).__name__}: {error}"
    else:
        kind, text = RESULT, ""
    if heard:
        return OTHER, f"warned: {heard[0].category.__name__}: {heard[0].message}"
    return kind, text


def fuzzed(
    name: str,
    prepare: Callable[[random.Random], None],
    read: Callable[[], object],
    place: str,
    numbers: range,
    seed: int,
) -> Row:
    """Counts over inputs; each follows from the seed, the reader's name and its own number."""
    counts: Counter[str] = Counter({RESULT: 0, CLEAR: 0, OTHER: 0})
    slowest = 0.0
    for number in numbers:
        prepare(random.Random(f"{seed} {name} {number}"))
        start = time.perf_counter()
        kind, text = outcome(read, place)
        slowest = max(slowest, time.perf_counter() - start)
        counts[kind] += 1
        if kind == OTHER:
            print(f"{name}, seed {seed}, input {number}: {text[:300]!r}", flush=True)
    return {"reader": name, "seed": seed, "inputs": len(numbers), **counts, "slowest_s": round(slowest, 3)}


def fuzz_folders(scratch: Path, numbers: range, seed: int) -> Row:
    """Damaged CelebA folders."""
    whole, damaged = scratch / "whole", scratch / "damaged"
    write_folder(load_drawn_faces(IMAGES, 0, scratch / "cache"), whole)
    read_folder(whole, scratch / "read")  # undamaged it gives a result

    def prepare(chance: random.Random) -> None:
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(whole, damaged)
        damage(damaged, chance)

    return fuzzed(FOLDER, prepare, lambda: read_folder(damaged, scratch / "read"), str(damaged), numbers, seed)


def fuzz_readers(scratch: Path, only: str | None, numbers: range, seed: int) -> Iterator[Row]:
    """Every other reader, or one of them."""
    for reader in readers(small_run(scratch)):
        if only in (None, reader.name):
            yield fuzzed(
                reader.name, reader.write_changed, reader.read, str(scratch) if reader.names_file else "", numbers, seed
            )


def main() -> None:
    """Parse, fuzz, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=1000, help="damaged folders (default: %(default)s)")
    parser.add_argument("--inputs", type=int, default=10_000, help="for each other reader (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", help=f"only this one; {FOLDER!r} for the folders; nothing is recorded then")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first input")
    given = parser.parse_args()
    folders = range(given.first, given.first + given.mutations)
    inputs = range(given.first, given.first + given.inputs)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        if given.reader in (None, FOLDER):
            rows.append(fuzz_folders(Path(scratch) / "folders", folders, given.seed))
        if given.reader != FOLDER:
            rows += fuzz_readers(Path(scratch) / "readers", given.reader, inputs, given.seed)
    if not rows:
        parser.error(f"--reader {given.reader!r}: no such reader; without it all are listed")
    print(text_table(rows, COLUMNS))
    if given.reader is None:
        append_rows(RESULTS, [{"pillow": PIL.__version__, **row} for row in rows])
    sys.exit(1 if any(row[OTHER] for row in rows) else 0)


if __name__ == "__main__":
    main()
