"""Make CelebA-mini: one image each of as many women as men, from a CelebA folder.

    python scripts/prepare_celeba.py --celeba ~/CelebA --out data/celeba-mini

The folder has the official files (.txt), or Kaggle's (.csv) with identity_CelebA.txt beside them, which Kaggle's lacks.
500 people take some seconds, most of them for reading the annotations of the 202,599 images.
"""

import argparse
import sys
import time
from pathlib import Path

from core.errors import run_script
from core.mini import build_mini


def main() -> None:
    """Parse, build, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--celeba", type=Path, required=True, metavar="DIR", help="folder with the annotation files")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument("--people", type=int, default=500, help="even, from 20 (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default: %(default)s)")
    arguments = parser.parse_args()
    start = time.monotonic()
    mini = build_mini(
        arguments.celeba, arguments.out, arguments.people, arguments.seed, show if sys.stderr.isatty() else None
    )
    print(f"CelebA-mini in {arguments.out}")
    print(f"  {mini.faces} faces of {mini.identities} people: {mini.women} women, {mini.men} men")
    print(f"  made in {time.monotonic() - start:.1f} s with seed {arguments.seed}")
    print(f"next: python scripts/search.py --space multitask --data {arguments.out}")


def show(done: int, total: int) -> None:
    """Keep one line of progress."""
    print(f"\r{done}/{total} images", end="\n" if done == total else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_script(main)
