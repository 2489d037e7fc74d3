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

import torch

from benchmarks.material import RESULTS, Material, add_material_options, load_material
from benchmarks.record import append_rows
from core.config import config_from_flat
from core.device import device_name
from core.errors import run_script
from core.names import Precision
from core.preparation import RANDOM
from core.session import Session

SECONDS = "seconds_per_epoch"


def main() -> None:
    """Parse, measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_material_options(parser, RANDOM)
    parser.add_argument("--blocks", type=int, nargs="+", default=[3, 5], choices=range(1, 6))
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as fresh:
        material = load_material(given, given.blocks, Precision.FP32, torch.device("cpu"), Path(fresh))
        told = {"faces": len(material.faces), "data": Path(given.data).name}
        told |= {"device": device_name(torch.device("cpu"))}  # also where there is a GPU
        for blocks in given.blocks:
            with_cache = curve(material, blocks, blocks, given.epochs)
            without = curve(material, 0, blocks, given.epochs)
            rows.append(compared(blocks, with_cache, without) | told)
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    append_rows(RESULTS / "cache.csv", rows)


def curve(material: Material, read: int, blocks: int, epochs: int) -> list[dict[str, float]]:
    """The epochs of a multi-task session in float32 that reads the inputs of ``read`` frozen blocks."""
    settings = {"frozen_blocks": blocks, "head_width": 512, "precision": "fp32", "lr": 1e-4, "lambda2": 20.0}
    train, validation = material.examples(read)
    session = Session(config_from_flat(settings), train, validation, material.weights, 0, torch.device("cpu"))
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


if __name__ == "__main__":
    run_script(main)
