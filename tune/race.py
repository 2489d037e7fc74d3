"""A race of a search's leaders: they alone get folds and more seeds, until one is the best beyond doubt.

One validation part ranks trials partly by chance. The leaders of each kind of model are trained again on every fold,
with the same seeds; after each round those that are hardly the best any more drop out, and a kind is decided once one
is left or is the best with a probability of 95 %.
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
from core.metrics import FaceErrors, Predictions, Truth, face_errors
from core.names import Architecture
from core.patience import Patience, Say
from core.retraining import finished_record
from core.run_folder import RunFolder
from core.standing import chances_of_best, cost_by
from tune.engine import run_race
from tune.jobs import Work, due_jobs, train_jobs
from tune.ledger import Entry, Ledger
from tune.materials import Materials
from tune.outpost import outpost_of
from tune.plan import Plan
from tune.progress import Counter
from tune.recorded_curves import METRIC_COLUMNS
from tune.search import workload_of
from tune.verdict import SURE, sentence
from tune.winners import Candidate, choose, ranked

PART = "race"


@dataclass
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
    chance: float = 0.0
    """Of being the best of those that were in the race with it last."""
    running: bool = True


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
        folds = [validation for _, validation in materials.inputs[0].folds]
        self.truths = [Truth(part.gender, part.landmarks) for part in folds]
        cost = cost_by(plan.ranking(), materials.baseline()["nme_pct"])
        assert cost is not None  # the plan has seen to that
        self.cost = cost

    def go(self) -> tuple[list[Candidate], list[str]]:
        """Run the rounds that are needed; whom to retrain, and what was decided, a sentence for each kind of model.

        Raises:
            UserError: storage took nothing for too long.
            KeyboardInterrupt: somebody wanted an end.
        """
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
        return [members for members in left if len(members) > 1 and max(r.chance for r in members) < SURE]

    def _round(self, number: int, racers: Sequence[Racer]) -> None:
        jobs = [self._job(racer, number) for racer in racers]
        workload = replace(workload_of(self.plan, self.materials), folded=True, keep_predictions=True)
        train = partial(run_race, workload, self.materials.workers)
        work = Work(f"race, round {number + 1} of at most {self.plan.race_rounds}:", PART, self.plan.epochs, train)
        train_jobs(work, due_jobs(jobs), self.plan, self.run, self.materials, self.say)
        for racer, job in zip(racers, jobs, strict=True):
            best = finished_record(Path(job["folder"]), job["record"])
            if best is None:  # it failed, which was said
                racer.running, racer.chance = False, 0.0
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
        models = [racer.errors for racer in members]
        folds = len(self.truths)
        counter = Counter("race: comparing")
        chances = chances_of_best(models, self.cost, self.plan.verdict_seed(), folds=folds, report=counter)
        for racer, chance in zip(members, chances, strict=True):
            racer.chance = chance
            racer.running = chance > 1 - SURE

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
                        "probability_best": racer.chance,
                        **{name: means.get(name) for name in METRIC_COLUMNS},
                        **{f"config.{key}": value for key, value in racer.entry.config.items()},
                    }
                )
        return pd.DataFrame(rows)

    def _ordered(self, members: Sequence[Racer]) -> list[Racer]:
        """Best first: by chance, and those that dropped out earlier after those that dropped out later."""
        return sorted(members, key=lambda racer: (not racer.running, -len(racer.scores), -racer.chance))

    def _candidates(self) -> list[Candidate]:
        raced = [racer.entry for members in self.kinds.values() for racer in self._ordered(members)]
        rest = [entry for entry in self.order if entry not in raced]
        return choose([*raced, *rest], self.fixed, self.plan.top_k)

    def _sentence(self, kind: Architecture) -> str:
        ordered = self._ordered(self.kinds[kind])
        chances = {f"trial {racer.entry.number}": racer.chance for racer in ordered if racer.running}
        rounds, folds = max(len(racer.scores) for racer in ordered), len(self.truths)
        known = f"{rounds} round{'s' if rounds > 1 else ''} on {folds} folds"
        gone = len(ordered) - len(chances)
        note = f"; {gone} dropped out, each with less than {1 - SURE:.2f}" if gone else ""
        return sentence(f"race of {len(ordered)} {kind} trials", chances, len(ordered) - 1, known, note)
