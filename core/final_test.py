"""The final test: predictions for the test faces, and their scores with intervals."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from core.bench import Bench
from core.bootstrap import Estimate, bootstrap_scores, paired_difference
from core.device import device_name, gpu_errors
from core.faces import Faces
from core.metrics import (
    Floats,
    Predictions,
    Truth,
    baseline_predictions,
    man_probability,
    nme_per_face_pct,
    relative_error,
    score,
)
from core.names import LANDMARKS, MEAN_FACE, RELATIVE_ERROR
from core.prediction import model_loss, prediction_loss
from core.preparation import Reporter
from core.splits import Split
from core.weights import Weights
from core.winner import Winner

BOOTSTRAP_SEED = 0
RESAMPLES = 2000
KEPT = "what was predicted before is kept: start the test again"


class Measured(NamedTuple):
    """What it took a device to say of the test faces."""

    winner: Winner
    runs: list[Predictions]
    """A seed's each, in the order of the winner's ``replicates``."""
    inference_ms: float
    """Of a face, by the whole network."""
    device: str
    """Its name."""


Keep = Callable[[Sequence[Measured]], None]
"""Is given all winners that have been measured so far, each time that one has been."""


@dataclass(eq=False)
class Tested:
    """One winner on the test faces."""

    winner: Winner
    runs: list[Predictions]
    """Predictions of each seed, in the order of the winner's ``replicates``."""
    scores: dict[str, Estimate]
    """``loss``, the winner's own, has no interval (NaN)."""
    seed_sd: dict[str, float]
    """Spread of each score over seeds."""
    inference_ms: float
    by_seed: list[dict[str, float]] = field(default_factory=list)
    """The scores of each run."""
    gain: Estimate | None = None
    """Mean face's NME minus the winner's, face by face, percent of the inter-ocular distance."""


@dataclass(eq=False)
class TestResult:
    """Everything that the report shows."""

    truth: Truth
    images: NDArray[np.uint8]
    """All faces of the data, (M, 3, 224, 224), perhaps on disk."""
    rows: NDArray[np.int64]
    """Where the test faces stand in ``images``."""
    files: list[str]
    baseline: dict[str, Estimate]
    tested: list[Tested] = field(default_factory=list)
    knowing_nothing: Predictions = field(default_factory=Predictions)
    """The training mean face and share of men, whose scores ``baseline`` are."""
    device: str = ""
    """On what the time of an inference was measured; several where a test that was cut off went on on another."""


def run_test(
    winners: Sequence[Winner],
    backbone: Weights,
    faces: Faces,
    split: Split,
    device: torch.device,
    cache: Path,
    report: Reporter,
    had: Sequence[Measured] = (),
    keep: Keep | None = None,
) -> TestResult:
    """Predict the test faces with every winner and seed, and score them with intervals over faces.

    Args:
        backbone: what all winners of the run started from.
        cache: where activations of the test faces are kept.
        report: is told of every piece of work as it begins, and hears how much of it is done.
        had: winners that have been measured before.

    Raises:
        UserError: a winner's weights are missing or damaged, the GPU fails, or what ``keep`` raises.
    """
    bench = Bench(faces, split, backbone, device, cache, report)
    before = {one.winner.label: one for one in had}
    measured: list[Measured] = []
    for winner in winners:
        if winner.label in before:
            measured.append(before[winner.label])
            continue
        with gpu_errors(device, "test faces were predicted", f"{KEPT}, with CUDA_VISIBLE_DEVICES= (empty) on the CPU"):
            measured.append(Measured(winner, *bench.run(winner), device_name(device)))
        if keep is not None:
            keep(measured)
    return scored_test(measured, faces, split, report)


def scored_test(measured: Sequence[Measured], faces: Faces, split: Split, report: Reporter) -> TestResult:
    """The scores of what was predicted, beside those of knowing nothing."""
    truth = Truth(faces.gender[split.test], faces.landmarks[split.test], faces.identity[split.test])
    train = Truth(faces.gender[split.train], faces.landmarks[split.train])
    knowing_nothing = baseline_predictions(train, len(split.test))
    assert knowing_nothing.landmarks is not None
    mean_face_N = nme_per_face_pct(knowing_nothing.landmarks, truth.landmarks)
    report(f"{MEAN_FACE}: intervals")
    baseline = _estimates([knowing_nothing], truth, mean_face_N)
    files = [str(faces.file[index]) for index in split.test]
    devices = " and ".join(dict.fromkeys(one.device for one in measured))
    result = TestResult(truth, faces.images, split.test, files, baseline, [], knowing_nothing, devices)
    for one in measured:
        report(f"{one.winner.label}: intervals")
        result.tested.append(scored(one.winner, one.runs, one.inference_ms, truth, mean_face_N))
    return result


def scored(
    winner: Winner, runs: list[Predictions], milliseconds: float, truth: Truth, mean_face_nme_pct_N: Floats
) -> Tested:
    """The scores of a winner's seeds: their mean with its interval over faces, and their spread."""
    loss, reference = model_loss(winner.config.training), float(mean_face_nme_pct_N.mean())
    singly = []
    for run in runs:
        scores = score(run, truth)
        own = {"loss": prediction_loss(run, truth, loss), RELATIVE_ERROR: relative_error(scores, reference)}
        singly.append(scores | own)
    mean_loss = float(np.mean([one["loss"] for one in singly]))
    estimates = {"loss": (mean_loss, math.nan, math.nan)} | _estimates(runs, truth, mean_face_nme_pct_N)
    spread = {n: float(np.std([one[n] for one in singly], ddof=1)) for n in estimates if len(runs) > 1}
    tested = Tested(winner, runs, estimates, spread, milliseconds, singly)
    errors = [nme_per_face_pct(run.landmarks, truth.landmarks) for run in runs if run.landmarks is not None]
    if errors:
        ours_N = np.mean(errors, axis=0)
        tested.gain = paired_difference(mean_face_nme_pct_N, ours_N, seed=BOOTSTRAP_SEED, person_N=truth.person)
    return tested


def _estimates(runs: Sequence[Predictions], truth: Truth, mean_face_nme_pct_N: Floats) -> dict[str, Estimate]:
    reference = float(mean_face_nme_pct_N.mean())
    return bootstrap_scores(runs, truth, resamples=RESAMPLES, seed=BOOTSTRAP_SEED, mean_face_nme_pct=reference)


def scores_table(result: TestResult) -> pd.DataFrame:
    """``scores.csv``: a row a winner and one for knowing nothing; each score with ``_lo``, ``_hi`` and ``_sd``."""
    rows = []
    for tested in result.tested:
        row: dict[str, object] = {"model": tested.winner.label, "seeds": len(tested.runs)}
        row |= _columns(tested.scores, tested.seed_sd) | {"inference_ms": round(tested.inference_ms, 3)}
        if tested.gain is not None:
            row |= dict(zip(("nme_gain_pct", "nme_gain_pct_lo", "nme_gain_pct_hi"), tested.gain, strict=True))
        rows.append(row)
    rows.append({"model": MEAN_FACE} | _columns(result.baseline, {}))
    return pd.DataFrame(rows).astype({"seeds": "Int64"})  # the last row has none


def _columns(scores: dict[str, Estimate], spread: dict[str, float]) -> dict[str, object]:
    columns: dict[str, object] = {}
    for name, (value, low, high) in scores.items():
        columns |= {f"test_{name}": value, f"test_{name}_lo": low, f"test_{name}_hi": high}
        if name in spread:
            columns[f"test_{name}_sd"] = spread[name]
    return columns


def predictions_table(result: TestResult) -> pd.DataFrame:
    """``predictions.csv``: a row a winner, seed (by its number among the retrained ones) and face.

    ``true_gender`` is 1 for a man; landmarks are in pixels of the 224 x 224 crop.
    """
    tables = []
    for tested in result.tested:
        for number, run in zip(tested.winner.replicates, tested.runs, strict=True):
            table = pd.DataFrame({"model": tested.winner.label, "seed": number, "file": result.files})
            table["true_gender"] = result.truth.gender
            if run.gender_logits is not None:
                table["probability_man"] = man_probability(run.gender_logits)
            if run.landmarks is not None:
                table["nme_pct"] = nme_per_face_pct(run.landmarks, result.truth.landmarks)
                names = [f"{name}_{axis}_px" for name in LANDMARKS for axis in "xy"]
                table[names] = run.landmarks.reshape(len(table), -1)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)
