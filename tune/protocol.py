"""The paper's protocol (figure 10): four grids, each around the choices of those before, and their winners trained."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from core.claims import Cell, cell_label
from core.config import Config, config_from_flat
from core.errors import UserError
from core.kept_predictions import read_predictions
from core.metrics import Truth
from core.names import LandmarkLoss
from core.patience import Patience
from core.replication import CHOICES
from core.run_folder import RunFolder
from core.winner import Winner, read_winners
from search_spaces.effect import matters
from search_spaces.paper import PAPER_CHOICES, PAPER_FIXED
from search_spaces.parts import DEFAULTS, LOSS_KEYS
from tune.ledger import Ledger, Status
from tune.materials import Materials
from tune.paper_plan import STEPS, Follow, PaperPlan, Step, papers_cell
from tune.plan import Plan
from tune.retrain import cut_short, retrain
from tune.run import create_run
from tune.search import Search
from tune.winners import Candidate, choose, ranked

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class StepResult:
    """What one step left."""

    step: Step
    plan: Plan
    run: RunFolder
    ledger: Ledger
    winner: Winner

    def papers_loss(self) -> bool:
        """Whether the chosen row has the loss that it has in the paper's table, and so values in its unit."""
        return papers_loss(self.winner.config, tuple(self.step.space.parameters))

    def runs(self) -> pd.DataFrame:
        """A row for each cell and seed that trained: choices, ``seed``, ``papers_loss`` and validation metrics without
        ``val_``."""
        varied = tuple(self.step.space.parameters)
        rows = [
            {
                **entry.config,
                "papers_loss": papers_loss(self._config(entry.config), varied),
                "seed": entry.number // self.plan.cells(),
                **_plain(entry.best(self.plan.aim())),
            }
            for entry in self._trained()
        ]
        return pd.DataFrame(rows, columns=None if rows else [*self.step.space.parameters, "seed"])

    def curves(self) -> dict[str, list[pd.DataFrame]]:
        """Learning curves by the label of the cell, a table a seed."""
        curves: dict[str, list[pd.DataFrame]] = {}
        for entry in self._trained():
            curves.setdefault(self._label(entry.config), []).append(pd.DataFrame(entry.curve))
        return curves

    def cells(self, faces: int) -> list[Cell]:
        """The cells with what they predicted for the validation faces, of which there are so many."""
        found: dict[str, Cell] = {}
        for entry in self._trained():
            label = self._label(entry.config)
            config = self._config(entry.config)
            cell = found.setdefault(label, Cell(label, config, ()))
            run = read_predictions(self.run.trial(entry.number), faces)
            found[label] = replace(cell, runs=(*cell.runs, run))
        return list(found.values())

    def final_runs(self) -> pd.DataFrame:
        """A row for each seed of the winner: ``papers_loss``, and metrics of its best epoch without ``val_``."""
        rows = [[{str(k): v for k, v in row.items()} for row in c.to_dict("records")] for c in self.winner.curves]
        best = [min(curve, key=self.plan.aim().cost) for curve in rows]
        named = {"architecture": str(self.winner.architecture), "papers_loss": papers_loss(self.winner.config)}
        return pd.DataFrame([{**named, **_plain(row)} for row in best])

    def failures(self) -> list[str]:
        """A line for each cell and seed, and for each seed of the winner, that did not train to its end, and why."""
        lines = []
        for number, entry in sorted(self.ledger.entries.items()):
            if entry.status is not Status.FINISHED:
                row, seed = self._label(entry.config), number // self.plan.cells()
                lines.append(f"table {self.step.numeral}, {row}, seed {seed}: {entry.reason}")
        for place, why in cut_short(self.run, [self.winner.label], self.plan.retrain_seeds):
            lines.append(f"retraining {place}: {why}; its best epoch before that counts")
        lost = sorted(set(range(self.plan.retrain_seeds)) - set(self.winner.replicates))
        return lines + [f"retraining {self.winner.label}/seed-{number} failed" for number in lost]

    def _trained(self) -> list[Any]:
        entries = [self.ledger.entries[number] for number in sorted(self.ledger.entries)]
        return [entry for entry in entries if entry.status is Status.FINISHED]

    def _config(self, parameters: Mapping[str, Any]) -> Config:
        return config_from_flat({**self.plan.search_space().fixed, **parameters})

    def _label(self, config: Mapping[str, Any]) -> str:
        return cell_label([config[key] for key in CHOICES[self.step.number]])


def papers_loss(config: Config, varied: Sequence[str] = ()) -> bool:
    """Whether a model's loss is made as that of the paper's model is, settings aside that its table varies; of Wing
    nobody can tell, as the paper does not give its two parameters."""
    ours, papers = config.flat(), {**DEFAULTS, **PAPER_FIXED, **PAPER_CHOICES}
    shape = {**ours, "frozen_blocks": 0, "landmark_head": DEFAULTS["landmark_head"]}  # the loss told has the lambdas
    if ours["landmark_loss"] == LandmarkLoss.WING and matters("landmark_loss", shape):
        return False
    return all(ours[key] == papers[key] or not matters(key, shape) for key in LOSS_KEYS if key not in varied)


class Protocol:
    """All four steps of one replication, begun or gone on with in its folder.

    Args:
        root: the replication's folder, which exists and is held by the caller.
        first: the materials of the first step.
    """

    def __init__(self, plan: PaperPlan, root: RunFolder, first: Materials, command: str, say: Say) -> None:
        self.plan = plan
        self.root = root
        self.first = first
        self.command = command
        self.say = say

    def go(self) -> list[StepResult]:
        """Run what is left of every step."""
        chosen: dict[str, Any] = {}
        results = []
        for step in STEPS:
            seeds = f"{self.plan.seeds} seed{'s' if self.plan.seeds > 1 else ''}"
            self.say(f"table {step.numeral}: {step.space.summary.partition(': ')[2]}, {seeds}")
            results.append(self._step(step, chosen))
            settings = results[-1].winner.config.flat()
            picked = {key: settings[key] for key in step.space.parameters}
            chosen |= picked
            self.say(f"table {step.numeral}: going on with " + ", ".join(f"{k}={v}" for k, v in picked.items()))
        return results

    def validation(self) -> Truth:
        """What is true of the validation faces."""
        return self.first.inputs[0].validation.truth

    def _step(self, step: Step, chosen: Mapping[str, Any]) -> StepResult:
        plan = self.plan.step_plan(step, chosen)
        run = self.root.step(f"table{step.number}")
        materials = self.first.with_plan(plan)
        if not run.path.exists():
            create_run(run, plan, materials, self.command)
        recorded = run.read_search()
        materials.check_same(recorded, str(run.search))
        settled = json.loads(json.dumps(materials.settled_plan()))
        if {**recorded["plan"], **materials.places()} != settled:
            raise UserError(f"{run.search}: not the plan of this step after the steps before it")
        with run.lock():
            if recorded["plan"] != settled:  # faces or weights lie elsewhere by now
                run.write_search({**recorded, "plan": settled})
            ledger = Search(plan, run, materials, self.say).go()
            retrain(plan, run, materials, ledger, self.say, self._candidates(step, plan, ledger))
            Patience(self.say)(run.fetch, run.path)  # what trials predicted
        return StepResult(step, plan, run, ledger, read_winners(run)[0])

    def _candidates(self, step: Step, plan: Plan, ledger: Ledger) -> list[Candidate]:
        best_first = ranked(ledger, plan)
        if self.plan.follow is Follow.PAPER:
            cell = papers_cell(step)
            best_first = [entry for entry in best_first if entry.config == cell]
            if not best_first and ledger.ranked():
                raise UserError(
                    f"{self.root.path}: the paper's choice in table {step.numeral}, {cell}, trained with no seed"
                )
        return choose(best_first, plan.search_space().fixed, 1)


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Metrics under their plain names, without those of other splits."""
    return {name.removeprefix("val_"): value for name, value in row.items() if not name.startswith("train")}
