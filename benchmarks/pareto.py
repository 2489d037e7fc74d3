"""What does a search for two goals cover that a weighted one does not? Hypervolume of both at equal epochs.

    python -m benchmarks.pareto --data data/celeba-mini --weights vgg16.safetensors
    python -m benchmarks.pareto --quick

The weighted search is the plain one: it minimises relative error, where gender and landmarks weigh the same. Both go
through ``multitask`` with the schedulers and studies of a real search, one trial after another and without running Ray,
until they have spent the same number of epochs; the same seed gives both the same first trials. Hypervolume is the
share of the box between perfect and knowing nothing (cross-entropy by NME, validation faces) that trials dominate, each
at its best epoch by relative error, as in ``trials.csv``; ``hypervolume_epochs`` counts all epochs. Appends a row for
each search and seed to benchmarks/results/pareto.csv.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy import stats

from benchmarks.material import RESULTS, Material, add_material_options, load_material
from benchmarks.process import in_fresh_process
from benchmarks.record import append_rows
from benchmarks.table import Row, text_table
from core.cache_folder import default_cache
from core.config import config_from_flat
from core.cores import cores
from core.device import best_precision, device_at_hand, make_repeatable
from core.errors import run_script
from core.metrics import Truth, baseline_scores
from core.names import RELATIVE_ERROR, Precision
from core.objective import Objective
from core.pareto import Point, front_rank, goals_of, goals_of_nothing, hypervolume
from core.seeds import derived_seed
from core.session import DivergedError, Session
from search_spaces.multitask import MULTITASK
from tune.asha import ResumableAsha
from tune.cluster import WORKER_ENVIRONMENT
from tune.pareto_asha import ParetoAsha
from tune.plan import TRIAL_SEEDS, Plan
from tune.profile import Profile, settled_space
from tune.progress import Progress, clock
from tune.study import Sampler, Study

AIM = Objective(RELATIVE_ERROR)
WEIGHTED, PARETO = "weighted", "pareto"
CONFIDENCE = 0.95

Curve = list[dict[str, Any]]


def main() -> None:
    """Parse, search, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_material_options(parser)
    parser.add_argument("--samplers", nargs="+", choices=[Sampler.RANDOM, Sampler.TPE], default=["random", "tpe"])
    parser.add_argument("--seeds", type=int, default=5, help="searches of each kind (default: %(default)s)")
    parser.add_argument("--budget", type=int, default=60, help="epochs of a search (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=Plan.epochs, help="of a trial at most (default: %(default)s)")
    parser.add_argument("--blocks", type=int, default=5, choices=range(1, 6), help="frozen (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument(
        "--quick", action="store_true", help="two random searches of 12 epochs, drawn: 60 faces; not recorded"
    )
    given = parser.parse_args()
    if given.quick:
        given.seeds, given.samplers, given.budget, given.epochs, given.faces = 2, [Sampler.RANDOM], 12, 6, 60
    rows = in_fresh_process(measured, given, environment=WORKER_ENVIRONMENT)
    print(f"\n{given.seeds} seeds, {given.budget} epochs each, {given.blocks} frozen blocks")
    columns = ("search", "sampler", "trials", "front", "hypervolume", "hypervolume_epochs", RELATIVE_ERROR, "gain")
    print(text_table(summary(rows), columns))
    print(f"gain: hypervolume above the weighted search's of the same seed, {CONFIDENCE:.0%} interval over seeds")
    if not given.quick:
        append_rows(RESULTS / "pareto.csv", rows)


def measured(given: argparse.Namespace) -> list[Row]:
    """Run all searches; a row for each."""
    torch.set_num_threads(given.threads)
    device = device_at_hand()
    make_repeatable(device)
    precision = Precision(best_precision(device, default_cache()))
    lab = Lab(given, load_material(given, [given.blocks], precision, device), precision, device)
    rows: list[Row] = []
    count, start = given.seeds * len(given.samplers) * 2, time.monotonic()
    with Progress(lambda: f"{len(rows)}/{count} searches, {lab.trained} epochs; {clock(time.monotonic() - start)}"):
        for seed in range(given.seeds):
            for sampler in map(Sampler, given.samplers):
                for name in (WEIGHTED, PARETO):
                    curves = search(lab, name, sampler, seed, given.budget)
                    facts = {"search": name, "sampler": str(sampler), "seed": seed, "data": Path(given.data).name}
                    settings = {"epochs": given.budget, "most": given.epochs, "frozen_blocks": given.blocks}
                    rows.append({**facts, **settings, **scores(curves, lab.nothing)})
    return rows


class Lab:
    """Trials by their parameters and seed; an epoch that another search had is not trained again."""

    def __init__(
        self, given: argparse.Namespace, material: Material, precision: Precision, device: torch.device
    ) -> None:
        self.space = settled_space(MULTITASK, Profile.FAST, {"frozen_blocks": given.blocks})
        self.fixed = {**self.space.fixed, "precision": str(precision)}
        self.examples, self.weights, self.device = material.examples(given.blocks), material.weights, device
        self.epochs = given.epochs
        train, validation = (Truth(part.gender, part.landmarks) for part in self.examples)
        self.nothing = goals_of_nothing(baseline_scores(train, validation))
        self.known: dict[str, Curve] = {}
        self.trained = 0

    def curve(self, parameters: dict[str, Any], seed: int) -> Iterator[dict[str, Any]]:
        """The epochs of a trial, one after another.

        Raises:
            DivergedError: there are no more.
        """
        known = self.known.setdefault(json.dumps([parameters, seed], sort_keys=True), [])
        session: Session | None = None
        for epoch in range(self.epochs):
            if epoch == len(known):
                session = session or self._session(parameters, seed)
                while session.epoch < epoch:
                    session.run_epoch()
                known.append(session.run_epoch())
                self.trained += 1
            yield known[epoch]

    def _session(self, parameters: dict[str, Any], seed: int) -> Session:
        config = config_from_flat({**self.fixed, **parameters})
        return Session(config, *self.examples, self.weights, seed, self.device, epochs=self.epochs)


def search(lab: Lab, name: str, sampler: Sampler, seed: int, budget: int) -> list[Curve]:
    """The curves of a search's trials, ``budget`` epochs in all."""
    options = (lab.epochs, Plan.grace, Plan.reduction)
    asha = ResumableAsha(AIM, *options) if name == WEIGHTED else ParetoAsha(AIM, lab.nothing, *options)
    curves: list[Curve] = []
    with tempfile.TemporaryDirectory() as folder:
        two_goals = name == PARETO and sampler is Sampler.TPE
        study = Study(Path(folder) / "journal", lab.space, sampler, seed, two_goals=two_goals)
        while (left := budget - sum(map(len, curves))) > 0:
            number, parameters = study.ask()
            curves.append(_trial(lab, asha, number, parameters, derived_seed(seed, TRIAL_SEEDS, number), left))
            _tell(study, number, curves[-1], lab.epochs)
            if not curves[-1]:  # it diverged at once, which is an epoch of work
                budget -= 1
    return [curve for curve in curves if curve]


def _trial(lab: Lab, asha: ResumableAsha, number: int, parameters: dict[str, Any], seed: int, most: int) -> Curve:
    trial = SimpleNamespace(trial_id=str(number), config={"parameters": {}}, status="RUNNING")
    asha.on_trial_add(None, trial)
    curve: Curve = []
    try:
        for row in lab.curve(parameters, seed):
            curve.append(row)
            if asha.on_trial_result(None, trial, row) == ResumableAsha.STOP or len(curve) == most:
                break
    except DivergedError:
        pass
    return curve


def _tell(study: Study, number: int, curve: Curve, epochs: int) -> None:
    if not curve:
        study.tell(number, "failed", None, 0, "diverged")
        return
    best = min(curve, key=AIM.cost)
    cost: float | Point = goals_of(best) if study.two_goals else AIM.cost(best)
    study.tell(number, "finished" if len(curve) == epochs else "stopped", cost, len(curve), "")


def scores(curves: Sequence[Curve], nothing: Point) -> Row:
    """What a search reached."""
    best = [min(curve, key=AIM.cost) for curve in curves]
    points = [goals_of(row) for row in best]
    box = nothing[0] * nothing[1]
    return {
        "trials": len(curves),
        "front": int((front_rank(points) == 1).sum()),
        "hypervolume": hypervolume(points, nothing) / box,
        "hypervolume_epochs": hypervolume([goals_of(row) for curve in curves for row in curve], nothing) / box,
        RELATIVE_ERROR: min(AIM.cost(row) for row in best),
    }


def summary(rows: Sequence[Row]) -> list[Row]:
    """A row for each search and sampler: means over seeds with their range, and the gain with its interval."""
    found = []
    for sampler in dict.fromkeys(row["sampler"] for row in rows):
        for name in (WEIGHTED, PARETO):
            own = [row for row in rows if (row["search"], row["sampler"]) == (name, sampler)]
            merged: Row = {"search": name, "sampler": sampler}
            for key in ("trials", "front", "hypervolume", "hypervolume_epochs", RELATIVE_ERROR):
                values = [row[key] for row in own]
                merged |= {key: float(np.mean(values)), f"{key}_min": min(values), f"{key}_max": max(values)}
            if name == PARETO:
                plain = {row["seed"]: row for row in rows if (row["search"], row["sampler"]) == (WEIGHTED, sampler)}
                merged |= gain([row["hypervolume"] - plain[row["seed"]]["hypervolume"] for row in own])
            found.append(merged)
    return found


def gain(differences: Sequence[float]) -> Row:
    """The mean of paired differences with Student's t interval; of one, without an interval."""
    mean, count = float(np.mean(differences)), len(differences)
    if count < 2:
        return {"gain": mean}
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * np.std(differences, ddof=1) / math.sqrt(count))
    return {"gain": mean, "gain_min": mean - half, "gain_max": mean + half}


if __name__ == "__main__":
    run_script(main)
