"""The paper's profile on the device at hand: a few epochs of each model, its whole network trained at 224 pixels.

    python -m benchmarks.whole_network --data data/celeba-mini --weights vgg16.safetensors

For each model and precision a process of its own, so that peak memory is its own: training loss of each epoch, median
seconds an epoch, images a second (trained on or validated) and peak memory (of the GPU, or else of the process). On a
CPU with 2 cores an epoch over 405 faces takes one to two minutes; --models and --precisions choose some. Appends to
benchmarks/results/whole_network.csv.
"""

import argparse
import resource
import statistics
from typing import Any

import torch

from benchmarks.material import RESULTS, add_material_options, load_material
from benchmarks.process import in_fresh_process
from benchmarks.record import append_rows
from core.config import config_from_flat
from core.cores import cores
from core.device import device_at_hand, make_repeatable
from core.errors import run_script
from core.names import Architecture, Precision
from core.session import Session
from tune.cluster import WORKER_ENVIRONMENT
from tune.progress import Progress

PAPER = {"frozen_blocks": 0, "head_width": 4096, "optimizer": "adamax", "lambda1": 1.0, "lambda2": 20.0, "d_k": 512}


def main() -> None:
    """Parse, measure each model apart, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_material_options(parser)
    parser.add_argument(
        "--models", nargs="+", default=list(map(str, Architecture)), choices=list(map(str, Architecture))
    )
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=1e-4, help="at the paper's 0.001 single runs may collapse")
    given = parser.parse_args()
    for model in given.models:
        for precision in given.precisions:
            row = in_fresh_process(measured, given, model, precision, environment=WORKER_ENVIRONMENT)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            append_rows(RESULTS / "whole_network.csv", [row])


def measured(given: argparse.Namespace, model: str, precision: str) -> dict[str, Any]:
    """Train one model and say what it cost."""
    device = device_at_hand()
    make_repeatable(device)  # as trials
    torch.set_num_threads(cores())
    material = load_material(given, [], Precision(precision), device)
    train, validation = material.examples(0)
    config = config_from_flat({**PAPER, "architecture": model, "precision": precision, "lr": given.lr})
    session = Session(config, train, validation, material.weights, 0, device)
    rows: list[dict[str, float]] = []
    with Progress(lambda: f"{model}, {precision}: {len(rows)}/{given.epochs} epochs"):
        rows.extend(session.run_epoch() for _ in range(given.epochs))
    seconds = statistics.median(row["seconds_per_epoch"] for row in rows)
    return {
        "model": model,
        "precision": precision,
        "faces": len(train),
        "train_loss": " -> ".join(f"{row['train_loss']:.4g}" for row in rows),
        "seconds_per_epoch": round(seconds, 1),
        "images_per_second": round((len(train) + len(validation)) / seconds, 1),
        "peak_gb": round(peak_bytes(device) / 1e9, 2),
    }


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process has held, on the GPU if it trains there."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    run_script(main)
