"""The winners of a search: retrained with several seeds on the same workers, and ranked by their mean."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from core.atomic import write_text
from core.config import config_from_flat
from core.errors import UserError
from core.pareto import goals_of_nothing
from core.patience import Patience, Say
from core.retraining import finished_record, late_divergence
from core.run_folder import RunFolder
from core.tensor_files import save_tensors
from tune.engine import run_retraining
from tune.front import front_candidates
from tune.jobs import Work, due_jobs, train_jobs
from tune.ledger import Ledger, Status
from tune.materials import Materials
from tune.outpost import outpost_of
from tune.plan import Plan
from tune.search import workload_of
from tune.study import Sampler
from tune.verdict import chances_by_label
from tune.winners import CHANCE, FRONT_CHANCE, Candidate, choose, ranked, winners_table

WINNERS = "winners"


def retrain(
    plan: Plan,
    run: RunFolder,
    materials: Materials,
    ledger: Ledger,
    say: Say,
    candidates: list[Candidate] | None = None,
) -> pd.DataFrame:
    """Retrain winners, or go on with that; writes and returns ``winners.csv``.

    Args:
        candidates: what to retrain; by default the best trials of each kind of model, or members of its front.

    Raises:
        UserError: no trial has a result, no retraining succeeded, or storage took nothing for too long.
    """
    if candidates is None and plan.two_goals:
        candidates = front_candidates(ledger, plan, goals_of_nothing(materials.baseline()))
    if candidates is None:
        candidates = choose(ranked(ledger, plan), plan.search_space().fixed, plan.top_k)
    if not candidates:
        reasons = [entry.reason for entry in ledger.entries.values() if entry.reason]
        why = f" (the last one: {reasons[-1]})" if reasons else ""
        more = "" if plan.sampler is Sampler.GRID else "more --trials"
        if ledger.count(Status.PENDING, Status.RUNNING) or (more and plan.time_budget is not None):
            more = f"{more} and a larger --time-budget" if more else "a larger --time-budget"
        way_on = f"{run.again} with {more}" if more else "begin another run"
        raise UserError(f"{run.path}: no trial has a result, so there is nothing to retrain{why}; {way_on}")
    patience = Patience(say, after=f"; nothing that ended is lost: go on with {run.again}")
    patience(lambda: run.fetch(WINNERS), run.path)
    jobs = [_job(plan, run, materials, candidate, k) for k in range(plan.retrain_seeds) for candidate in candidates]
    due = due_jobs(jobs)
    if due:
        run.winners.unlink(missing_ok=True)  # an older ranking must not stand beside other weights
    patience(lambda: _save_backbone(run, materials), run.backbone)
    workload = workload_of(plan, materials)
    train = partial(run_retraining, workload, materials.workers)
    work = Work("retraining", WINNERS, plan.retrain_epochs, materials.trial_timeout, train)
    train_jobs(work, due, plan, run, say)
    for place, why in cut_short(run, [candidate.label for candidate in candidates], plan.retrain_seeds):
        say(f"note: retraining {place} ended early: {why}; its best epoch before that counts")
    table = _rank(plan, run, materials, candidates, jobs)
    patience(lambda: write_text(run.winners, table.to_csv(index=False)), run.winners)
    return table


def cut_short(run: RunFolder, labels: Iterable[str], seeds: int) -> list[tuple[str, str]]:
    """Retrainings that diverged after an epoch that can be kept: which, and why."""
    found = []
    for label in labels:
        for replicate in range(seeds):
            folder = run.winner(label, replicate)
            if (folder / "config.json").is_file() and (why := late_divergence(folder)):
                found.append((f"{label}/seed-{replicate}", why))
    return found


def _job(plan: Plan, run: RunFolder, materials: Materials, candidate: Candidate, replicate: int) -> dict[str, Any]:
    parameters = dict(candidate.config) | {"precision": str(materials.precision)}
    record = {
        "model": candidate.label,
        "trial": candidate.trial,
        "replicate": replicate,
        "search_seed": plan.seed,
        "epochs": plan.retrain_epochs,
        "objective": plan.objective,
        "weights_sha256": materials.weights.digest,
        "config": config_from_flat(parameters).flat(),
    }
    return {
        "label": candidate.label,
        "replicate": replicate,
        "parameters": parameters,
        "seed": plan.replicate_seed(replicate),
        "record": record,
        **outpost_of(run, *run.winner(candidate.label, replicate).relative_to(run.path).parts),
    }


def _save_backbone(run: RunFolder, materials: Materials) -> None:
    """The convolutions that all winners started from; a winner's own file holds only what it learned."""
    if not run.backbone.exists():
        run.backbone.parent.mkdir(exist_ok=True)
        unfinished = run.backbone.with_name(".backbone.partial")
        tensors = materials.weights.without_head().tensors
        save_tensors(unfinished, {name: t.contiguous() for name, t in tensors.items()})
        unfinished.replace(run.backbone)


def _rank(
    plan: Plan, run: RunFolder, materials: Materials, candidates: list[Candidate], jobs: list[dict[str, Any]]
) -> pd.DataFrame:
    best: dict[str, list[dict[str, Any]]] = {}
    folders: dict[str, list[Path]] = {}
    for job in jobs:
        found = finished_record(Path(job["folder"]), job["record"])
        if found is not None:
            best.setdefault(job["label"], []).append(found)
            folders.setdefault(job["label"], []).append(Path(job["folder"]))
    kept = [candidate for candidate in candidates if candidate.label in best]
    if not kept:
        raise UserError(f"{run.path}: no retraining succeeded, so there is no winner")
    chances = chances_by_label(kept, folders, plan, materials)
    chance = FRONT_CHANCE if plan.two_goals else CHANCE
    judged = not plan.two_goals and (plan.folds > 1 or plan.race > 0)
    return winners_table(kept, best, plan.ranking(), materials.baseline(), chances, chance, judged)
