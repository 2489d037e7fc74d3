"""The Optuna study of a search: what was chosen for each trial and how it ended, in a journal that survives a crash."""

import itertools
import logging
import warnings
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from core.pareto import Point
from core.patience import HASTE, Patience
from core.seeds import derived_seed
from core.session import DivergedError
from search_spaces.grid import grid_of
from search_spaces.space import Space
from tune.branches import KIND
from tune.head_start import LEADER, OF_PRIOR, HeadStart
from tune.journal import COSTS, ORIGIN, OwnStorage, PatientBackend, check_trials, mend, reading
from tune.judge import Judge, Seen
from tune.ledger import Status
from tune.suggestion import distribution, suggest
from tune.taught import taught_draw

STUDY_NAME = "tandem"
TPE_STARTS = 10
"""Trials of a kind of model that TPE draws at random before it learns from any."""


class Sampler(StrEnum):
    """How the next configuration is chosen."""

    RANDOM = "random"
    TPE = "tpe"
    GRID = "grid"


def build_sampler(kind: Sampler, seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's sampler; TPE models parameters jointly and counts running trials as bad ones (constant liar)."""
    if kind is Sampler.RANDOM:
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(
        n_startup_trials=TPE_STARTS, seed=seed, multivariate=True, group=True, constant_liar=True
    )


def _fixed_sampler(parameters: dict[str, Any]) -> optuna.samplers.BaseSampler:
    """A sampler that gives these parameters, and would draw any other at random."""
    return optuna.samplers.PartialFixedSampler(parameters, optuna.samplers.RandomSampler(seed=0))


class Study:
    """Trials by number: drawn from a space, and told how they ended.

    The sampler is seeded anew for each trial from (seed, number), so a resumed search draws what an undisturbed one
    would have drawn. A grid is gone through cell by cell, and then again. What is known before the first trial is not
    in the journal: it gives some trials their parameters, and TPE sees it beside the trials that are.

    Args:
        two_goals: whether trials end with two costs instead of one. Optuna takes no unfinished ones then (no pruning):
            a trial that was stopped is complete, as far as it came.
    """

    def __init__(
        self,
        journal: Path,
        space: Space,
        sampler: Sampler,
        seed: int,
        patience: Patience = HASTE,
        head_start: HeadStart | None = None,
        two_goals: bool = False,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("optuna").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # of two samplers that we use
        self.journal = journal
        self.space = space
        self.sampler = sampler
        self.seed = seed
        self.two_goals = two_goals
        self.cells = grid_of(space) if sampler is Sampler.GRID else []
        self.head_start = head_start or HeadStart()
        self.judge = Judge()
        with reading(journal):
            mend(journal)
            self.backend = PatientBackend(journal.resolve(), patience)
            self.study = optuna.create_study(
                storage=OwnStorage(self.backend),
                study_name=STUDY_NAME,
                load_if_exists=True,
                directions=["minimize"] * (2 if two_goals else 1),
            )
            # Optuna lists all trials whenever it is asked for one of them, so what is needed often is kept here.
            self.drawn = len(self.study.get_trials(deepcopy=False))
            check_trials(self.study, space, journal, 2 if two_goals else 1)
        self.open: dict[int, optuna.trial.Trial] = {}

    def known(self) -> dict[int, dict[str, Any]]:
        """Parameters of every trial so far, by number."""
        trials = self.study.get_trials(deepcopy=False)
        with reading(self.journal):
            return {t.number: dict(t.params) if t.state.is_finished() else self._completed(t) for t in trials}

    def _completed(self, frozen: optuna.trial.FrozenTrial) -> dict[str, Any]:
        """The parameters of a trial that may have been cut off while they were drawn: Optuna keeps the known ones."""
        origin = self._seed(frozen.number, frozen.user_attrs.get(ORIGIN))
        if origin is not None and ORIGIN not in frozen.user_attrs:
            self._reopened(frozen.number).set_user_attr(ORIGIN, origin)
        if self.sampler is Sampler.RANDOM:
            # Drawing only what is missing would give it the random numbers of what is there.
            whole = self._draw(optuna.create_study(sampler=self.study.sampler).ask())
            self.study.sampler = _fixed_sampler(whole)
        return self._draw(self._reopened(frozen.number))

    def _seed(self, number: int, recorded: str | None = None) -> str | None:
        """Make the sampler of a trial; what the trial is drawn from, unless that is the sampler.

        Args:
            recorded: of a trial that was cut off, what it was drawn from, whatever has come to light since.
        """
        if self.sampler is Sampler.GRID:
            cell = self.cells[number % len(self.cells)]
            self.study.sampler = _fixed_sampler(cell)
            return None
        self.study.sampler = build_sampler(self.sampler, derived_seed(self.seed, 0, number))
        origin, given = self.head_start.pick(
            number, self.space, self.seed, lambda: recorded == OF_PRIOR or self._holds()
        )
        if origin is not None:
            self.study.sampler = _fixed_sampler(given)
        elif self.sampler is Sampler.TPE and (self.head_start.earlier or KIND in self.space.parameters):
            self.study.sampler = _fixed_sampler(self._taught(number, given.get(KIND)))
        elif given:
            self.study.sampler = optuna.samplers.PartialFixedSampler(given, self.study.sampler)
        return origin

    def _taught(self, number: int, kind: str | None) -> dict[str, Any]:
        """What the sampler draws for a trial once it has seen, by kind of model, earlier runs' trials and its own."""
        seen = [self._foreign(e.parameters, e.status, min(e.costs), len(e.costs)) for e in self.head_start.earlier]
        seen += [trial for trial in self.study.get_trials(deepcopy=False) if trial.number < number]
        kinds, random = self.space.values_of(KIND, ""), np.random.default_rng(derived_seed(self.seed, 0, number, 2))
        drawn = str(kinds[random.integers(len(kinds))])  # each kind as often
        return taught_draw(self.space, self.study.sampler, seen, kind or drawn, self.two_goals)

    def _holds(self) -> bool:
        return self.judged().forgotten is None

    def judged(self, at_end: bool = False) -> Judge:
        """The prior's judge, after it heard of every trial before the first that has not ended; at a search's end also
        of those behind."""
        trials = self.study.get_trials(deepcopy=False)[len(self.judge.heard) :]
        for trial in trials if at_end else itertools.takewhile(lambda trial: trial.state.is_finished(), trials):
            kind, origin = str(trial.params.get(KIND, "")), trial.user_attrs.get(ORIGIN)
            costs = trial.user_attrs.get(COSTS, [])
            if not costs and trial.user_attrs.get("status", Status.STOPPED) == Status.STOPPED:
                origin = LEADER  # the search ended before its first result, which says nothing of either side
            self.judge.hear(Seen(trial.number, kind, costs, origin))
        return self.judge

    def _draw(self, trial: optuna.trial.Trial) -> dict[str, Any]:
        return self.space.draw(lambda key, parameter: suggest(trial, key, parameter))

    def ended(self) -> dict[int, tuple[str, str]]:
        """Status and reason of every trial that ended, by number."""
        return {
            trial.number: (trial.user_attrs.get("status", ""), trial.user_attrs.get("reason", ""))
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state.is_finished()
        }

    def ask(self) -> tuple[int, dict[str, Any]]:
        """Number and parameters of a new trial."""
        origin = self._seed(self.drawn)
        with self.backend.together():
            trial = self.study.ask()
            if origin is not None:  # before its parameters, so that a trial that has some has this too
                trial.set_user_attr(ORIGIN, origin)
            self.drawn += 1
            self.open[trial.number] = trial
            return trial.number, self._draw(trial)

    def add(self, parameters: Mapping[str, Any], status: str, cost: float | None, epochs: int) -> None:
        """A trial that was trained elsewhere, from which the sampler learns as from its own, but for one that diverged;
        arguments as of tell."""
        self.study.add_trial(self._foreign(parameters, status, cost, epochs))
        self.drawn += 1

    def _foreign(
        self, parameters: Mapping[str, Any], status: str, cost: float | None, epochs: int
    ) -> optuna.trial.FrozenTrial:
        states = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED}
        return optuna.trial.create_trial(
            state=TrialState.FAIL if cost is None else states[status],
            value=cost if status == "finished" else None,
            params=dict(parameters),
            distributions={key: distribution(self.space.parameters[key]) for key in parameters},
            user_attrs={"status": status, "reason": ""},
            intermediate_values={} if cost is None else {epochs: cost},
        )

    def tell(
        self,
        number: int,
        status: str,
        cost: float | Point | None,
        epochs: int,
        reason: str,
        costs: Sequence[float] = (),
    ) -> None:
        """Record how a trial ended; ``cost`` is its best objective as a number to minimise, None if it has none; of a
        study with two goals both of them.

        Args:
            costs: of each epoch, by which a prior is judged.
        """
        trial = self.open.pop(number, None) or self._reopened(number)
        with self.backend.together():
            trial.set_user_attr("status", status)
            trial.set_user_attr("reason", reason)
            if self.head_start.prior:
                trial.set_user_attr(COSTS, list(costs))
            if cost is None:
                # Of a failed one TPE learns nothing; one that diverged is worse than all others, as if stopped at once.
                diverged = reason.startswith(DivergedError.__name__) and not self.two_goals
                self.study.tell(trial, state=TrialState.PRUNED if diverged else TrialState.FAIL)
                return
            if isinstance(cost, tuple):
                self.study.tell(trial, cost)
                return
            trial.report(cost, epochs)
            if status == "stopped":
                self.study.tell(trial, state=TrialState.PRUNED)
            else:
                self.study.tell(trial, cost)

    def _reopened(self, number: int) -> optuna.trial.Trial:
        """The only handle on a trial that an earlier process drew."""
        return optuna.trial.Trial(self.study, self.study.get_trials(deepcopy=False)[number]._trial_id)
