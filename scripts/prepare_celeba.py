"""Make CelebA-mini: one image each of as many women as men, from a CelebA folder.

    python scripts/prepare_celeba.py --celeba ~/CelebA --out data/celeba-mini

The folder has the official files (.txt), or Kaggle's (.csv) with identity_CelebA.txt beside them, which Kaggle's lacks.
500 people take some seconds, most of them for reading the annotations of the 202,599 images.
"""

import shlex
import sys
import time
from pathlib import Path

from core.commands import Parser, script
from core.errors import run_script
from core.mini import build_mini


def main() -> None:
    """Parse, build, print."""
    parser = Parser(__doc__)
    parser.add_argument("--celeba", type=Path, required=True, metavar="DIR", help="folder with the annotation files")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument("--people", type=int, default=500, help="even, from 20 (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default: %(default)s)")
    arguments = parser.parse_args()
    start = time.monotonic()
    with Show() as show:
        mini = build_mini(
            arguments.celeba, arguments.out, arguments.people, arguments.seed, show if sys.stderr.isatty() else None
        )
    print(f"CelebA-mini in {arguments.out}")
    print(f"  {mini.faces} faces of {mini.identities} people: {mini.women} women, {mini.men} men")
    print(f"  made in {time.monotonic() - start:.1f} s with seed {arguments.seed}")
    print(f"next: {script('search.py')} --space multitask --data {shlex.quote(str(arguments.out))}")


class Show:
    """Keeps one line of progress, and ends it when the work ends, also by an error."""

    def __init__(self) -> None:
        self.open = False

    def __call__(self, done: int, total: int) -> None:
        """``done`` of ``total`` are done."""
        self.open = True
        print(f"\r{done}/{total} images", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> "Show":
        return self

    def __exit__(self, *_: object) -> None:
        if self.open:
            print(file=sys.stderr)


if __name__ == "__main__":
    run_script(main)
