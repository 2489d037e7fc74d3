"""The final test: the only code that scores the test split."""

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from core.atomic import write_text
from core.bootstrap import Estimate, bootstrap_scores, paired_difference
from core.examples import BatchSource, Examples
from core.faces import Faces
from core.inference import inference_ms
from core.metrics import Predictions, Truth, baseline_predictions, gender_margin, nme_per_face_pct
from core.names import LANDMARKS, MEAN_FACE
from core.prediction import predict
from core.run_folder import RunFolder
from core.splits import Split
from core.winner import Winner, load_model

BOOTSTRAP_SEED = 0
RESAMPLES = 2000


@dataclass(eq=False)
class Tested:
    """One winner on the test faces."""

    winner: Winner
    runs: list[Predictions]
    """Predictions of each seed."""
    scores: dict[str, Estimate]
    seed_sd: dict[str, float]
    """Spread of each score over seeds."""
    inference_ms: float
    gain: Estimate | None = None
    """Mean face's NME minus the winner's, face by face, percent of the inter-ocular distance."""


@dataclass(eq=False)
class TestResult:
    """Everything that the report shows."""

    truth: Truth
    images: np.ndarray
    files: list[str]
    baseline: dict[str, Estimate]
    tested: list[Tested] = field(default_factory=list)


def run_test(
    run: RunFolder,
    winners: Sequence[Winner],
    faces: Faces,
    split: Split,
    device: torch.device,
    say: Callable[[str], None],
) -> TestResult:
    """Predict the test faces with every winner and seed, and score them with intervals over faces."""
    images, landmarks, gender = faces.take(split.test)
    truth = Truth(gender, landmarks)
    train = Truth(faces.gender[split.train], faces.landmarks[split.train])
    knowing_nothing = baseline_predictions(train, len(gender))
    assert knowing_nothing.landmarks is not None
    mean_face_N = nme_per_face_pct(knowing_nothing.landmarks, landmarks)
    reference = float(mean_face_N.mean())

    def scored(predictions: Sequence[Predictions], resamples: int = RESAMPLES) -> dict[str, Estimate]:
        return bootstrap_scores(
            predictions, truth, resamples=resamples, seed=BOOTSTRAP_SEED, mean_face_nme_pct=reference
        )

    baseline = scored([knowing_nothing])
    result = TestResult(truth, images, [str(faces.file[i]) for i in split.test], baseline)
    examples = Examples(images, np.arange(len(gender)), landmarks, gender)
    for winner in winners:
        say(f"testing {winner.label}: {len(winner.folders)} seeds on {len(gender)} faces")
        runs = []
        for folder in winner.folders:
            model = load_model(run, winner, folder, device)
            precision = winner.config.training.precision
            runs.append(predict(model, BatchSource(examples, device), precision))
        time_ms = inference_ms(model, images[0], precision, device)
        scores = scored(runs)
        singly = [scored([one], resamples=1) for one in runs]
        spread = {name: float(np.std([s[name][0] for s in singly], ddof=1)) for name in scores if len(runs) > 1}
        tested = Tested(winner, runs, scores, spread, time_ms)
        errors = [nme_per_face_pct(r.landmarks, landmarks) for r in runs if r.landmarks is not None]
        if errors:
            tested.gain = paired_difference(mean_face_N, np.mean(errors, axis=0), seed=BOOTSTRAP_SEED)
        result.tested.append(tested)
    return result


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
    return pd.DataFrame(rows)


def _columns(scores: dict[str, Estimate], spread: dict[str, float]) -> dict[str, object]:
    columns: dict[str, object] = {}
    for name, (value, low, high) in scores.items():
        columns |= {f"test_{name}": value, f"test_{name}_lo": low, f"test_{name}_hi": high}
        if name in spread:
            columns[f"test_{name}_sd"] = spread[name]
    return columns


def predictions_table(result: TestResult) -> pd.DataFrame:
    """``predictions.csv``: a row a winner, seed and face."""
    tables = []
    for tested in result.tested:
        for index, run in enumerate(tested.runs):
            table = pd.DataFrame({"model": tested.winner.label, "seed": index, "file": result.files})
            table["gender"] = result.truth.gender
            if run.gender_logits is not None:
                table["man_probability"] = 1 / (1 + np.exp(-gender_margin(run.gender_logits)))
            if run.landmarks is not None:
                table["nme_pct"] = nme_per_face_pct(run.landmarks, result.truth.landmarks)
                names = [f"{name}_{axis}_px" for name in LANDMARKS for axis in "xy"]
                table[names] = run.landmarks.reshape(len(table), -1)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def record_opening(folder: Path) -> list[str]:
    """Note that the test split is opened now; when it was opened before."""
    path = folder / "opened.json"
    before: list[str] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps([*before, now]) + "\n")
    return before
