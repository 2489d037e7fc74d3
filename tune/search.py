"""A search from its first trial to its last, and the way back into one that was killed."""

import math
import time
from typing import Any

from ray.tune import Stopper
from ray.tune.stopper import CombinedStopper

from core.errors import UserError
from core.objective import Objective
from core.pareto import goals_of_nothing
from core.patience import HASTE, Patience, Say, unheard
from core.run_folder import RunFolder
from tune.asha import Past, ResumableAsha
from tune.board import Board
from tune.engine import run_search
from tune.head_start import HeadStart, read_head_start
from tune.interrupt import Interrupt
from tune.ledger import ENDED, Ledger, Status
from tune.materials import Materials
from tune.nodes import can_train
from tune.outpost import outpost_of
from tune.pareto_asha import ParetoAsha
from tune.plan import Plan
from tune.progress import Progress, clock
from tune.recorder import FailureLimit, Recorder
from tune.searcher import StudySearcher
from tune.silence import Silence
from tune.study import Sampler, Study
from tune.trainable import Workload

ROUNDS = 5
TIME_IS_UP, ENOUGH, LOST = "time budget", "--trials was reached", "its worker was lost"
USED_UP = "time_is_up"
"""In ``search.json``: the time budget, in seconds, that has ended the search."""


def workload_of(plan: Plan, materials: Materials) -> Workload:
    """What every worker is given."""
    return Workload(
        inputs=materials.inputs,
        weights=materials.weights,
        settings={**plan.search_space().fixed, "precision": str(materials.precision)},
        threads=materials.workers.threads,
        gpus=materials.workers.gpus,
        epochs=plan.epochs,
        retrain_epochs=plan.retrain_epochs,
        objective=plan.aim(),
        folded=plan.folds > 1,
        keep_predictions=plan.sampler is Sampler.GRID,
        timeout=materials.trial_timeout,
        depot=materials.depot,
        cache=materials.cache_everywhere,
    )


def study_of(run: RunFolder, plan: Plan, patience: Patience = HASTE) -> Study:
    """The study of a run, with what it knew before its first trial.

    Raises:
        UserError: the journal or ``head_start.json`` is damaged.
    """
    space, knows = plan.search_space(), bool(plan.warm_start) or plan.prior is not None
    head_start = read_head_start(run.head_start, space) if knows else HeadStart()
    learns_both = plan.two_goals and plan.sampler is Sampler.TPE
    return Study(run.journal, space, plan.sampler, plan.seed, patience, head_start, learns_both)


def restored_ledger(
    run: RunFolder, study: Study, objective: Objective, patience: Patience = HASTE, fronts: bool = False
) -> Ledger:
    """The ledger with all that the run's folder knows.

    Raises:
        UserError: the journal or the curves are damaged.
    """
    ledger = Ledger(run.trials, run.curves, objective, patience, fronts)
    for number, parameters in study.known().items():
        ledger.add(number, parameters)
    ledger.restore_curves()
    for number, (status, reason) in study.ended().items():
        ledger.entries[number].status = Status(status or Status.FAILED)
        ledger.entries[number].reason = reason
    return ledger


class Search:
    """The trials of one run: those it has already had, and the ones that are left.

    Args:
        run: its folder, which exists and is locked by the caller.
    """

    def __init__(self, plan: Plan, run: RunFolder, materials: Materials, say: Say = unheard) -> None:
        self.plan = plan
        self.run = run
        self.say = say
        self.patience = Patience(say, after=f"; nothing that ended is lost: go on with {run.again}")
        self.materials = materials
        self.workload = workload_of(plan, materials)
        self.objective = plan.aim()
        self.study = study_of(run, plan, self.patience)
        self.ledger = restored_ledger(run, self.study, self.objective, self.patience, plan.two_goals)
        self.past = self.ledger.count(*ENDED)
        self.past_epochs = self.ledger.epochs(*ENDED)
        self.start = time.monotonic()
        self.before = sum(entry.seconds for entry in self.ledger.entries.values()) / materials.workers.count
        """Seconds of a resumed search's epochs until now: how long it lay dead is not known and does not count."""

    def go(self) -> Ledger:
        """Run what is left of the search.

        A worker that dies between two trials can take the next one with it before that began; Ray then gives it up
        without a retry. So what has not ended after a round is run in another one.

        Raises:
            UserError: more trials failed than are tolerated; storage was away for too long.
            KeyboardInterrupt: somebody wanted an end.
        """
        board = Board(self.run, self.plan.search_space())
        silence = Silence(self.materials.trial_timeout)
        recorder = Recorder(self.ledger, self.study, board, self.plan.epochs, silence, self.say)
        limit = FailureLimit(recorder, self.plan.max_failures)
        if self._time_was_up() and self._left() > 0:
            self.say(f"--time-budget {self.plan.time_budget:g} has ended this search; a larger one goes on with it")
        self.start = time.monotonic()
        with Interrupt(self.run, self.say) as interrupt, Progress(self._line):
            for _ in range(ROUNDS):
                seconds = self._seconds_left()
                if self._left() <= 0 or limit.stop_all() or seconds <= 0 or self._time_was_up():
                    break
                self._round(recorder, CombinedStopper(limit, interrupt), None if math.isinf(seconds) else seconds)
                if interrupt.stop_all() or limit.stop_all():
                    # What was under way stays open: a resumed search goes on with it.
                    board.close()
                    self.ledger.write(now=True)
                interrupt.check()
        if limit.stop_all():
            raise UserError(
                f"{self.run.path}: {recorder.failures} trials failed, more than --max-failures {limit.most}; "
                f"the last one: {recorder.last_failure}; once that is mended, go on with {self.run.again}"
            )
        cause = self._cause()
        if cause == LOST:
            self.say(f"note: {self._left()} of {self.plan.trials} trials are left out: each try lost their workers")
        self._close(recorder, board, cause)
        if self.plan.prior is not None:
            self.say(self.study.judged(at_end=True).told())
        return self.ledger

    def _time_was_up(self) -> bool:
        """Whether this budget has ended the search before: its epochs alone never add up to all of it, and trials that
        a resume drew now could change the winners that are being retrained.
        """
        budget = self.plan.time_budget
        return budget is not None and budget <= self.run.read_search().get(USED_UP, 0.0)

    def _seconds_left(self) -> float:
        """Of the time budget; infinite without one."""
        if self.plan.time_budget is None:
            return math.inf
        return self.plan.time_budget - self.before - (time.monotonic() - self.start)

    def _cause(self) -> str:
        """Why trials that have not ended will not be gone on with; that time is up is recorded."""
        if self._left() <= 0:
            return ENOUGH
        if self._seconds_left() > 0 and not self._time_was_up():
            return LOST
        ended = {**self.run.read_search(), USED_UP: self.plan.time_budget}
        self.patience(lambda: self.run.write_search(ended), self.run.search)
        return TIME_IS_UP

    def _left(self) -> int:
        return self.plan.trials - self.ledger.count(*ENDED)

    def _round(self, recorder: Recorder, stopper: Stopper, seconds: float | None) -> None:
        # A resume with a smaller --trials has no use for all of them, and what the others learned stays.
        waiting = [e for e in self.ledger.entries.values() if e.status not in ENDED][: self._left()]
        for entry in waiting:
            self.ledger.forget_curve(entry.number)
        past = self.study.head_start.past(self.objective)
        past += [(e.config, e.curve) for e in self.ledger.entries.values() if e.status in ENDED]
        scheduler = self._scheduler(past)
        searcher = StudySearcher(self.study, [(e.number, e.config) for e in waiting], self._job)
        workers = self.materials.workers
        run_search(self.workload, workers, searcher, scheduler, recorder, stopper, self._left(), seconds)

    def _scheduler(self, past: Past) -> ResumableAsha:
        """What stops trials early."""
        plan = self.plan
        if plan.two_goals:
            nothing = goals_of_nothing(self.materials.baseline())
            return ParetoAsha(self.objective, nothing, plan.epochs, plan.grace, plan.reduction, past)
        return ResumableAsha(self.objective, plan.epochs, plan.grace, plan.reduction, past)

    def _job(self, number: int) -> dict[str, Any]:
        """What a trial is told besides its parameters."""
        return {"seed": self.plan.trial_seed(number), **outpost_of(self.run, self.run.trial(number).name)}

    def _close(self, recorder: Recorder, board: Board, cause: str) -> None:
        """Settle trials that were under way, or drawn and not begun, when the search ended.

        Those of which time has left nothing that could be compared stay open, for a larger budget: those without an
        epoch, and a grid's, whose rows are compared whole.
        """
        for number, parameters in self.study.known().items():
            entry = self.ledger.entries.get(number) or self.ledger.add(number, parameters)
            of_use = cause != TIME_IS_UP or (bool(entry.curve) and self.plan.sampler is not Sampler.GRID)
            if entry.status not in ENDED and of_use:
                entry.reason = entry.reason or cause
                recorder.end(entry, Status.STOPPED)
        left = self.ledger.count(Status.PENDING, Status.RUNNING)
        if left:
            self.say(f"note: trials that --time-budget has left open, for a larger one to go on with: {left}")
        board.close()
        self.ledger.write(now=True)

    def _line(self) -> str:
        ledger, total, elapsed = self.ledger, self.plan.trials, time.monotonic() - self.start
        ended = ledger.count(*ENDED)
        epochs = ledger.epochs(*Status)
        # What changes comes first, since a terminal may have no room for all: a trial of whole networks takes minutes.
        text = f"search {ended}/{total} trials, {epochs} epoch{'' if epochs == 1 else 's'}, {clock(elapsed)}"
        if self.past < ended < total and epochs > self.past_epochs:
            left = elapsed / (epochs - self.past_epochs) * ledger.epochs_left(total, self.plan.epochs)
            text += f", about {clock(left)} left"
        if self.materials.depot is not None and not can_train(self.materials.workers):
            text += "; waiting for a node that can train"
        text += f"{self.run.trouble}{_best_so_far(ledger)}; {ledger.count(Status.RUNNING)} running, "
        text += f"{ledger.count(Status.STOPPED)} stopped early, {ledger.count(Status.FINISHED)} finished"
        return text + (f", {ledger.count(Status.FAILED)} failed" if ledger.count(Status.FAILED) else "")


def _best_so_far(ledger: Ledger) -> str:
    name, ranked = ledger.objective.name, ledger.ranked()
    value = ranked[0].best(ledger.objective).get(name) if ranked else None
    kind = f", {ranked[0].config['architecture']}" if ranked and "architecture" in ranked[0].config else ""
    return "" if value is None else f"; best {name} {value:.3g} (trial {ranked[0].number}{kind})"
