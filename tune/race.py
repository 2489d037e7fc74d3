"""A race of a search's leaders: they alone get folds and more seeds, until one is the best beyond doubt.

One validation part ranks trials partly by chance. The leaders of each kind of model are trained again on every fold,
with the same seeds; after each round those that are hardly the best any more drop out, and a kind is decided once one
is the best of those left with a probability of 95 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.atomic import write_text
from core.config import config_from_flat
from core.kept_predictions import read_predictions
from core.metrics import FaceErrors, Predictions, baseline_scores, face_errors
from core.names import Architecture
from core.patience import Patience, Say
from core.retraining import finished_record
from core.run_folder import RunFolder
from core.standing import SURE, chances_over_folds, cost_by, in_the_race
from tune.engine import run_race
from tune.jobs import Work, due_jobs, train_jobs
from tune.ledger import Entry, Ledger
from tune.materials import Materials
from tune.outpost import outpost_of
from tune.plan import Plan
from tune.recorded_curves import METRIC_COLUMNS
from tune.search import workload_of
from tune.verdict import sentence
from tune.winners import IN_RACE, Candidate, choose, ranked

PART = "race"


@dataclass(eq=False)
class Racer:
    """One of the leaders."""

    entry: Entry
    kind: Architecture
    config: dict[str, Any]
    """All settings, fixed ones included."""
    errors: list[FaceErrors] = field(default_factory=list)
    """Of each fold in the first round, then in the second, and so on."""
    scores: list[dict[str, Any]] = field(default_factory=list)
    """Metrics of each round's best epoch, means over folds."""
    chance: float | None = None
    """Of being the best of those that it was compared with last; None before, and of one that failed since."""
    running: bool = True
    failed: bool = False


class Race:
    """The race after a search; what its rounds have left in the run's folder is not trained again.

    Args:
        run: its folder, which exists and is locked by the caller.
    """

    def __init__(self, plan: Plan, run: RunFolder, materials: Materials, ledger: Ledger, say: Say) -> None:
        self.plan, self.run, self.materials, self.say = plan, run, materials, say
        self.patience = Patience(say, after=f"; nothing that ended is lost: go on with {run.again}")
        self.order = ranked(ledger, plan)
        self.fixed = plan.search_space().fixed
        leaders = choose(self.order, self.fixed, plan.race)
        by_number = {entry.number: entry for entry in self.order}
        racers = [Racer(by_number[one.trial], one.architecture, dict(one.config)) for one in leaders]
        self.kinds = {
            kind: members for kind in Architecture if len(members := [r for r in racers if r.kind is kind]) > 1
        }
        folds = [(train.truth, validation.truth) for train, validation in materials.inputs[0].folds]
        self.truths = [validation for _, validation in folds]
        means = [baseline_scores(train, validation)["nme_pct"] for train, validation in folds]
        self.costs = [cost for mean in means if (cost := cost_by(plan.ranking(), mean)) is not None]
        assert len(self.costs) == len(folds)  # the plan has seen to that

    def go(self) -> tuple[list[Candidate], list[str]]:
        """Run the rounds that are needed; whom to retrain, and what was decided, a sentence for each kind of model.

        Raises:
            UserError: storage took nothing for too long.
            KeyboardInterrupt: somebody wanted an end.
        """
        for one in choose(self.order, self.fixed, 1):
            if one.architecture not in self.kinds:
                self.say(f"no race of {one.architecture} trials: only one of them has a result")
        self.patience(lambda: self.run.fetch(PART), self.run.path)
        for number in range(self.plan.race_rounds):
            still = [racer for members in self._open() for racer in members]
            if not still:
                break
            self._round(number, still)
            for members in self._open():
                self._judge(members)
            self.patience(lambda: write_text(self.run.race, self.table().to_csv(index=False)), self.run.race)
        return self._candidates(), [self._sentence(kind) for kind in self.kinds]

    def _open(self) -> list[list[Racer]]:
        """Those still in the race, of each kind that is not decided."""
        left = [[racer for racer in members if racer.running] for members in self.kinds.values()]
        return [members for members in left if len(members) > 1 and max(r.chance or 0.0 for r in members) < SURE]

    def _round(self, number: int, racers: Sequence[Racer]) -> None:
        jobs = [self._job(racer, number) for racer in racers]
        timeout = self.materials.trial_timeout
        if timeout is not None and self.plan.folds == 1:
            timeout *= len(self.truths)  # it was meant for an epoch on one part
        workload = workload_of(self.plan, self.materials)
        workload = replace(workload, folded=True, keep_predictions=True, timeout=timeout)
        train = partial(run_race, workload, self.materials.workers)
        title = f"race, round {number + 1} of at most {self.plan.race_rounds}:"
        work = Work(title, PART, self.plan.epochs, timeout, train)
        train_jobs(work, due_jobs(jobs), self.plan, self.run, self.say)
        for racer, job in zip(racers, jobs, strict=True):
            best = finished_record(Path(job["folder"]), job["record"])
            if best is None:  # it failed, which was said
                racer.running, racer.failed, racer.chance = False, True, None
                continue
            racer.scores.append(best)
            racer.errors += self._errors(Path(job["folder"]))

    def _job(self, racer: Racer, number: int) -> dict[str, Any]:
        plan, trial = self.plan, racer.entry.number
        parameters = racer.config | {"precision": str(self.materials.precision)}
        record = {
            "model": str(racer.kind),
            "trial": trial,
            "round": number,
            "search_seed": plan.seed,
            "folds": len(self.truths),
            "epochs": plan.epochs,
            "objective": plan.objective,
            "weights_sha256": self.materials.weights.digest,
            "config": config_from_flat(parameters).flat(),
        }
        folder = self.run.raced(trial, number)
        return {
            "label": folder.parent.name,
            "replicate": number,
            "parameters": parameters,
            "seed": plan.race_seed(number),
            "record": record,
            **outpost_of(self.run, *folder.relative_to(self.run.path).parts),
        }

    def _errors(self, folder: Path) -> list[FaceErrors]:
        """What a racer got wrong on each fold's validation faces, which stand there one fold after the other."""
        ends = np.cumsum([len(truth.gender) for truth in self.truths])
        said = read_predictions(folder, int(ends[-1]))
        found = []
        for truth, end in zip(self.truths, ends, strict=True):
            part = slice(int(end) - len(truth.gender), int(end))
            logits, landmarks = (None if x is None else x[part] for x in (said.gender_logits, said.landmarks))
            found.append(face_errors(Predictions(logits, landmarks), truth))
        return found

    def _judge(self, members: Sequence[Racer]) -> None:
        """Compare, and let drop out who is together the best with a probability of 5 % at most."""
        models = [racer.errors for racer in members]
        chances = chances_over_folds(models, self.costs, self.plan.verdict_seed())
        for racer, chance, stays in zip(members, chances, in_the_race(chances), strict=True):
            racer.chance, racer.running = chance, stays

    def table(self) -> pd.DataFrame:
        """``race.csv``: a row a racer, best first within its kind of model: means over rounds of means over folds."""
        rows = []
        for kind, members in self.kinds.items():
            for racer in self._ordered(members):
                means: Mapping[Any, Any] = dict(pd.DataFrame(racer.scores).mean()) if racer.scores else {}
                rows.append(
                    {
                        "model": str(kind),
                        "trial": racer.entry.number,
                        "rounds": len(racer.scores),
                        "in_the_race": racer.running,
                        IN_RACE: racer.chance,
                        **{name: means.get(name) for name in METRIC_COLUMNS},
                        **{f"config.{key}": value for key, value in racer.entry.config.items()},
                    }
                )
        return pd.DataFrame(rows)

    def _ordered(self, members: Sequence[Racer]) -> list[Racer]:
        """Best first: by chance, and those that dropped out earlier after those that dropped out later; as the search
        had them where failures have left nobody in the race."""
        if not any(racer.running for racer in members):
            return sorted(members, key=lambda racer: self.order.index(racer.entry))
        return sorted(members, key=lambda racer: (not racer.running, -len(racer.scores), -(racer.chance or 0.0)))

    def _candidates(self) -> list[Candidate]:
        raced = [racer.entry for members in self.kinds.values() for racer in self._ordered(members)]
        rest = [entry for entry in self.order if entry not in raced]
        chances = {racer.entry.number: racer.chance for members in self.kinds.values() for racer in members}
        found = choose([*raced, *rest], self.fixed, self.plan.top_k)
        return [replace(candidate, raced=chances.get(candidate.trial)) for candidate in found]

    def _sentence(self, kind: Architecture) -> str:
        ordered, title = self._ordered(self.kinds[kind]), f"race of {len(self.kinds[kind])} {kind} trials"
        rounds, failed = max(len(racer.scores) for racer in ordered), sum(racer.failed for racer in ordered)
        last = [racer for racer in ordered if racer.chance is not None and len(racer.scores) == rounds]
        gone = sum(not racer.running and not racer.failed and racer not in last for racer in ordered)
        note = (
            f"; {gone} dropped out earlier, in each round those with less than {1 - SURE:.2f} together" if gone else ""
        )
        note += f"; {failed} failed" if failed else ""
        if len(last) < 2 or not any(racer.running for racer in ordered):  # failures left nobody to compare with
            left = ", ".join(f"trial {racer.entry.number}" for racer in ordered if racer.running)
            return f"{title}: nothing was decided{note}" + (f"; left is {left}" if left else "")
        chances = {f"trial {racer.entry.number}": racer.chance for racer in last if racer.chance is not None}
        known = f"{rounds} round{'s' if rounds > 1 else ''} on {len(self.truths)} folds"
        return sentence(title, chances, known, note)
