"""A search from start to winners, and the way back into one that was killed."""

import datetime
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock, Timeout
from safetensors.torch import save_file

from core.atomic import write_text
from core.config import config_from_flat
from core.device import best_precision
from core.errors import UserError
from core.metrics import Truth, baseline_scores
from core.names import Precision
from core.preparation import Inputs, load_faces, load_weights, prepare_inputs
from core.retraining import clear_other, finished_record
from core.run_folder import RunFolder
from core.splits import split_faces, write_split
from core.weights import Weights
from tune.asha import ResumableAsha
from tune.board import Board
from tune.cluster import Workers, plan_workers
from tune.engine import run_retraining, run_search
from tune.ledger import ENDED, Ledger, Status
from tune.plan import Plan
from tune.progress import Counter, Progress, clock
from tune.recorder import FailureLimit, Recorder, RetrainRecorder
from tune.searcher import StudySearcher
from tune.study import Study
from tune.trainable import Workload, input_key
from tune.winners import Candidate, choose, winners_table

PACKAGES = ("torch", "torchvision", "ray", "optuna", "numpy", "scikit-learn", "pandas")


@dataclass(frozen=True)
class Place:
    """Where a search runs, as opposed to what it searches."""

    cache: Path
    cores: int
    gpus: float
    workers: int | None
    gpus_per_trial: float | None


class Search:
    """One run: prepared inputs, its folder, its trials and its winners."""

    def __init__(self, plan: Plan, run: RunFolder, place: Place, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.run = run
        self.say = say
        self.space = plan.search_space()
        self.objective = plan.aim()
        self.workers: Workers = plan_workers(place.workers, place.gpus_per_trial, place.cores, place.gpus)
        self.device = torch.device("cuda" if self.workers.gpus and torch.cuda.is_available() else "cpu")
        self.precision = self._precision()
        split_seed = config_from_flat(self.space.fixed).data.split_seed
        self.faces = load_faces(plan.data, plan.drawn_faces, 0, place.cache, Counter)
        self.split = split_faces(self.faces.gender, self.faces.identity, split_seed)
        self.weights: Weights = load_weights(plan.weights, self.faces, self.split, say)
        self.inputs: dict[int, Inputs] = prepare_inputs(
            self.faces,
            self.split,
            self.weights,
            self._cached_blocks(),
            self.precision,
            self.device,
            place.cache,
            Counter,
        )

    def _precision(self) -> Precision:
        asked = config_from_flat(self.space.fixed).training.precision
        return best_precision(self.device) if asked is Precision.AUTO else asked

    def _cached_blocks(self) -> set[int]:
        fixed = {key: value for key, value in self.space.fixed.items() if key != "frozen_blocks"}
        return {input_key(config_from_flat({**fixed, "frozen_blocks": b})) for b in self.plan.frozen_blocks()}

    def identity(self) -> dict[str, Any]:
        """What makes a resumed run the same run."""
        return {
            "faces": len(self.faces),
            "data_fingerprint": self.faces.fingerprint,
            "split_fingerprint": self.split.fingerprint(self.faces.file),
            "weights": self.weights.source,
            "weights_sha256": self.weights.digest,
            "precision": str(self.precision),
        }

    def begin(self, command: str) -> None:
        """Make the run's folder, whole or not at all."""
        self.run.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.run.path.with_name(f".{self.run.path.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)  # of a run killed at this very point
        partial.mkdir()
        draft = RunFolder(partial)
        draft.write_search(
            {
                "command": command,
                "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "plan": self.plan.to_json(),
                **self.identity(),
                "baseline_validation": self.baseline(),
                "device": torch.cuda.get_device_name() if self.device.type == "cuda" else platform.processor() or "cpu",
                "workers": vars(self.workers),
                "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            }
        )
        write_split(draft.split, self.faces, self.split)
        try:
            partial.rename(self.run.path)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)  # our own draft
            raise UserError(f"{self.run.path} exists; choose another --name") from None
        Board(self.run, self.space).describe()

    def check_same(self, recorded: dict[str, Any]) -> None:
        """Refuse to go on with other faces, another split or other weights."""
        for key, value in self.identity().items():
            if recorded.get(key) != value:
                raise UserError(f"{self.run.search}: {key} was {recorded.get(key)!r}, now it is {value!r}")

    def baseline(self) -> dict[str, float]:
        """What knowing nothing scores on the validation faces."""
        train, validation = self.inputs[0].train, self.inputs[0].validation
        return baseline_scores(Truth(train.gender, train.landmarks), Truth(validation.gender, validation.landmarks))

    def go(self) -> pd.DataFrame:
        """Search, retrain, rank; the table of winners."""
        lock = FileLock(self.run.path / ".lock")
        try:
            with lock.acquire(timeout=0):
                ledger = self._search()
                return self._retrain(ledger)
        except Timeout:
            raise UserError(f"{self.run.path}: another process is working on this run") from None

    def _workload(self) -> Workload:
        return Workload(
            inputs=self.inputs,
            weights=self.weights,
            settings={**self.space.fixed, "precision": str(self.precision)},
            seed=self.plan.seed,
            threads=self.workers.threads,
            gpu=self.device.type == "cuda",
            epochs=self.plan.epochs,
            retrain_epochs=self.plan.retrain_epochs,
            objective=self.objective,
        )

    def _restored(self) -> tuple[Study, Ledger]:
        """The study and the ledger, with all that the run's folder knows."""
        study = Study(self.run.journal, self.space, self.plan.sampler, self.plan.seed)
        ledger = Ledger(self.run.trials, self.run.curves, self.objective)
        for number, parameters in study.known().items():
            ledger.add(number, parameters)
        ledger.restore_curves()
        for number, (status, reason) in study.ended().items():
            ledger.entries[number].status = Status(status or Status.FAILED)
            ledger.entries[number].reason = reason
        return study, ledger

    def _search(self) -> Ledger:
        study, ledger = self._restored()
        open_entries = [e for e in ledger.entries.values() if e.status not in ENDED]
        past = [e.curve for e in ledger.entries.values() if e.status in ENDED]
        for entry in open_entries:
            ledger.forget_curve(entry.number)
        left = self.plan.trials - len(past)
        if left <= 0:
            ledger.write(now=True)
            return ledger
        scheduler = ResumableAsha(self.objective, self.plan.epochs, self.plan.grace, self.plan.reduction, past)
        searcher = StudySearcher(study, [(entry.number, entry.config) for entry in open_entries])
        board = Board(self.run, self.space)
        recorder = Recorder(ledger, study, board, self.plan.epochs)
        limit = FailureLimit(ledger, self.plan.max_failures)
        start = time.monotonic()
        with Progress(lambda: self._line(ledger, start, len(past))):
            budget = self.plan.time_budget
            run_search(self._workload(), self.workers, searcher, scheduler, recorder, limit, left, budget)
        self._close(ledger, recorder, board)
        if limit.stop_all():
            reasons = sorted({e.reason for e in ledger.entries.values() if e.status is Status.FAILED})
            raise UserError(f"{ledger.count(Status.FAILED)} trials failed, more than {limit.most}: {reasons[0]}")
        return ledger

    def _close(self, ledger: Ledger, recorder: Recorder, board: Board) -> None:
        """Settle trials that were under way when the time budget ended."""
        for entry in ledger.entries.values():
            if entry.status not in ENDED:
                entry.reason = entry.reason or "time budget"
                recorder.end(entry, Status.STOPPED if entry.curve else Status.FAILED)
        board.close()
        ledger.write(now=True)

    def _line(self, ledger: Ledger, start: float, past: int) -> str:
        ended, total = ledger.count(*ENDED), self.plan.trials
        elapsed = time.monotonic() - start
        text = (
            f"search {ended}/{total} trials: {ledger.count(Status.RUNNING)} running, "
            f"{ledger.count(Status.STOPPED)} stopped early, {ledger.count(Status.FINISHED)} finished"
        )
        if ledger.count(Status.FAILED):
            text += f", {ledger.count(Status.FAILED)} failed"
        ranked = ledger.ranked()
        if ranked:
            value = ranked[0].best(self.objective)[self.objective.name]
            text += f"; best {self.objective.name} {value:.3f} (trial {ranked[0].number})"
        text += f"; {clock(elapsed)}"
        if past < ended < total:
            text += f", about {clock(elapsed / (ended - past) * (total - ended))} left"
        return text

    def _retrain(self, ledger: Ledger) -> pd.DataFrame:
        candidates = choose(ledger.ranked(), self.space.fixed, self.plan.top_k)
        if not candidates:
            raise UserError(f"{self.run.path}: no trial has a result, so there is nothing to retrain")
        self._save_backbone()
        jobs = [self._job(candidate, k) for k in range(self.plan.retrain_seeds) for candidate in candidates]
        for job in jobs:
            clear_other(Path(job["folder"]), job["record"])
        due = [job for job in jobs if finished_record(Path(job["folder"]), job["record"]) is None]
        board = Board(self.run, self.space)
        recorder = RetrainRecorder(board, self.objective)
        start = time.monotonic()
        if due:
            total = len(due) * self.plan.retrain_epochs
            with Progress(lambda: _retrain_line(recorder, len(due), total, start)):
                run_retraining(self._workload(), self.workers, due, recorder)
        board.close()
        return self._rank(candidates, jobs, recorder.failures)

    def _job(self, candidate: Candidate, replicate: int) -> dict[str, Any]:
        record = {
            "model": candidate.label,
            "trial": candidate.trial,
            "replicate": replicate,
            "search_seed": self.plan.seed,
            "epochs": self.plan.retrain_epochs,
            "objective": self.objective.name,
            "weights_sha256": self.weights.digest,
            "config": config_from_flat({**candidate.config, "precision": str(self.precision)}).flat(),
        }
        folder = str(self.run.winner(candidate.label, replicate).resolve())
        return {
            "label": candidate.label,
            "replicate": replicate,
            "parameters": dict(candidate.config) | {"precision": str(self.precision)},
            "folder": folder,
            "record": record,
        }

    def _save_backbone(self) -> None:
        """The convolutions that all winners started from; a winner's own file holds only what it learned."""
        if not self.run.backbone.exists():
            self.run.backbone.parent.mkdir(exist_ok=True)
            partial = self.run.backbone.with_name(".backbone.partial")
            save_file({name: t.contiguous() for name, t in self.weights.tensors.items() if "features" in name}, partial)
            partial.replace(self.run.backbone)

    def _rank(self, candidates: list[Candidate], jobs: list[dict[str, Any]], failures: dict[str, str]) -> pd.DataFrame:
        best: dict[str, list[dict[str, Any]]] = {}
        for job in jobs:
            found = finished_record(Path(job["folder"]), job["record"])
            if found is not None:
                best.setdefault(job["label"], []).append(found)
        for place, reason in failures.items():
            self.say(f"retraining {place} failed: {reason}")
        kept = [candidate for candidate in candidates if candidate.label in best]
        if not kept:
            raise UserError(f"{self.run.path}: no retraining succeeded, so there is no winner")
        table = winners_table(kept, best, self.objective)
        write_text(self.run.winners, table.to_csv(index=False))
        return table


def _retrain_line(recorder: RetrainRecorder, runs: int, total: int, start: float) -> str:
    done = sum(recorder.epochs.values())
    elapsed = time.monotonic() - start
    left = f", about {clock(elapsed / done * (total - done))} left" if 0 < done < total else ""
    return f"retraining {runs} runs: {done}/{total} epochs; {clock(elapsed)}{left}"
