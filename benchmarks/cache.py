"""Is the activation cache exact, and what does it save? The same session with and without it, one after the other.

    python -m benchmarks.cache --faces 100 --epochs 3

Prints, for each number of frozen blocks, the largest relative difference between the two curves and the ratio of the
median seconds of an epoch; appends a row for each to benchmarks/results/cache.csv.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import append_rows
from core.cache_folder import default_cache
from core.config import config_from_flat
from core.errors import run_script
from core.names import Precision
from core.preparation import RANDOM, Inputs, load_faces, load_weights, prepare_inputs
from core.session import Session
from core.splits import split_faces
from core.weights import Weights

SECONDS = "seconds_per_epoch"


def main() -> None:
    """Parse, measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="drawn", metavar="DIR", help="a CelebA folder (default: drawn faces)")
    parser.add_argument("--faces", type=int, default=100, help="how many to draw (default: %(default)s)")
    parser.add_argument("--weights", default=RANDOM, metavar="PATH")
    parser.add_argument("--blocks", type=int, nargs="+", default=[3, 5], choices=range(1, 6))
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    faces = load_faces(given.data, given.faces, 0, default_cache(), quiet)
    split = split_faces(faces.gender, faces.identity, 0)
    weights = load_weights(given.weights, faces, split, print, quiet)
    rows = []
    with tempfile.TemporaryDirectory() as fresh:
        device, folder = torch.device("cpu"), Path(fresh)
        inputs = prepare_inputs(faces, split, weights, given.blocks, Precision.FP32, device, folder, quiet)
        for blocks in given.blocks:
            with_cache = curve(inputs[blocks], weights, blocks, given.epochs)
            without = curve(inputs[0], weights, blocks, given.epochs)
            rows.append(compared(blocks, with_cache, without) | {"faces": len(faces), "data": Path(given.data).name})
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    append_rows(Path("benchmarks/results/cache.csv"), rows)


def curve(inputs: Inputs, weights: Weights, blocks: int, epochs: int) -> list[dict[str, float]]:
    """The epochs of a multi-task session in float32 that reads ``inputs``."""
    settings = {"frozen_blocks": blocks, "head_width": 512, "precision": "fp32", "lr": 1e-4, "lambda2": 20.0}
    train, validation = inputs.examples(np.load(inputs.path, mmap_mode="r"))
    session = Session(config_from_flat(settings), train, validation, weights, 0, torch.device("cpu"))
    return [session.run_epoch() for _ in range(epochs)]


def compared(blocks: int, with_cache: list[dict[str, float]], without: list[dict[str, float]]) -> dict[str, Any]:
    """Largest relative difference of any metric in any epoch, and how the seconds compare."""
    pairs = [(a[key], b[key]) for a, b in zip(with_cache, without, strict=True) for key in a if key != SECONDS]
    fast, slow = (statistics.median(row[SECONDS] for row in rows) for rows in (with_cache, without))
    return {
        "frozen_blocks": blocks,
        "largest_relative_difference": f"{max(abs(a - b) / max(abs(b), 1e-12) for a, b in pairs):.2g}",
        "seconds_per_epoch_cached": round(fast, 2),
        "seconds_per_epoch_uncached": round(slow, 2),
        "times_faster": round(slow / fast, 1),
    }


def quiet(_: str) -> Any:
    """Progress that nobody hears."""
    return lambda *_: None


if __name__ == "__main__":
    run_script(main)
