"""What happens to trials, written down as it happens: ledger, study and TensorBoard."""

from collections.abc import Mapping
from typing import Any

from ray.tune import Callback, Stopper

from core.errors import UserError
from core.pareto import Point, goals_of
from core.patience import AwayError, Say, unheard
from tune.board import Board
from tune.deaths import Deaths, reason_of
from tune.ledger import ENDED, Entry, Ledger, Status
from tune.silence import Silence
from tune.study import Study

RUNNING = "RUNNING"  # Ray's word for a trial that has a worker
AWAY = "away"  # in a worker's result: storage took nothing for too long, and what the user is told
NOTE = "note"  # in a worker's result: what the user should hear of a retraining
LOSSES = 3  # times that a trial may be lost before it began


class Recorder(Callback):
    """Ray's events of search trials, brought to our files."""

    def __init__(
        self,
        ledger: Ledger,
        study: Study,
        board: Board,
        epochs: int,
        silence: Silence | None = None,
        say: Say = unheard,
    ) -> None:
        self.say = say
        self.silence = silence or Silence(None)
        self.ledger = ledger
        self.study = study
        self.board = board
        self.epochs = epochs
        self.failures = 0
        """Trials that failed since this search was started or resumed."""
        self.last_failure = ""
        """Why the last of them did."""
        self.lost: dict[int, int] = {}
        """How often each trial was lost before it began."""
        self.unwritten: UserError | None = None
        """Why an end could not be written down."""
        self.deaths = Deaths()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker took the trial; also after it was lost with its worker, and starts over."""
        entry = self._entry(trial)
        entry.status = Status.RUNNING
        self.silence.broken(entry.number)
        self.ledger.forget_curve(entry.number)
        self.board.begin(entry)
        self.ledger.write()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch, or the reason why there are no more.

        Raises:
            AwayError: storage took nothing of it for too long; the trial stays open.
        """
        _check_storage(result)
        entry = self._entry(trial)
        self.silence.broken(entry.number)
        if "failure" in result:
            entry.reason = result["failure"]
            return
        self.deaths.hear(entry.number, result["epoch"], trial)
        self.ledger.record(entry.number, result)
        self.board.epoch(entry)
        self.ledger.write()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The trial trained all its epochs, failed by itself, or was stopped."""
        entry = self._entry(trial)
        whole = len(entry.curve) >= self.epochs
        self._end(entry, Status.FAILED if entry.reason else Status.FINISHED if whole else Status.STOPPED)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its worker died more often than is allowed, or before the trial began: then it is tried again later."""
        entry = self._entry(trial)
        if entry.status is Status.PENDING and self.lost.get(entry.number, 0) < LOSSES:
            self.lost[entry.number] = self.lost.get(entry.number, 0) + 1
            return
        entry.reason = self.silence.reason(entry.number) or reason_of(trial)
        self._end(entry, Status.FAILED)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its worker died, and it will start over."""
        if self.silence.reason(self._entry(trial).number):
            self.silence.last_try(trial)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Ray has dealt with what came, or nothing came for a moment.

        Raises:
            UserError: the end of a trial could not be written down.
        """
        if self.unwritten is not None:
            raise self.unwritten
        self.silence.look({trial.config["number"]: trial for trial in trials if trial.status == RUNNING})

    def _end(self, entry: Entry, status: Status) -> None:
        """:meth:`end` where Ray takes whatever is raised for a failure of the trial, and would train it again."""
        try:
            self.end(entry, status)
        except UserError as error:
            self.unwritten = error

    def _entry(self, trial: Any) -> Entry:
        """The trial's entry; Ray may speak of a trial before it says that it started."""
        number = trial.config["number"]
        return self.ledger.entries.get(number) or self.ledger.add(number, trial.config["parameters"])

    def end(self, entry: Entry, status: Status) -> None:
        """Say everywhere that a trial is over."""
        if entry.status in ENDED:
            return
        entry.status = status
        if status is Status.FAILED:
            self.failures += 1
            self.last_failure = f"trial {entry.number}, {entry.reason}"
        best = entry.best(self.ledger.objective)
        cost: float | Point | None = None
        costs: list[float] = []
        if best and status is not Status.FAILED:
            cost = goals_of(best) if self.study.two_goals else self.ledger.objective.cost(best)
            costs = [self.ledger.objective.cost(row) for row in entry.curve]
        self.ledger.settle()
        self.study.tell(entry.number, str(status), cost, len(entry.curve), entry.reason, costs)
        self.board.end(entry, best)
        self.ledger.write()
        if status is Status.FAILED:
            self.say(f"trial {entry.number} failed: {entry.reason}")


class FailureLimit(Stopper):
    """Ends a search in which too many trials fail: most likely something is wrong that no other trial mends.

    Failures before a resume do not count: whoever resumes has mended what was wrong, or knows why.
    """

    def __init__(self, recorder: Recorder, most: int) -> None:
        self.recorder = recorder
        self.most = most

    def __getstate__(self) -> dict[str, Any]:
        """Ray writes its stoppers down; this one lives in its process alone."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Single trials are stopped elsewhere."""
        return False

    def stop_all(self) -> bool:
        """Whether too many failed."""
        return self.recorder.failures > self.most


class RetrainRecorder(Callback):
    """Epochs of the winners, or of those in a race, for progress, TensorBoard and the reasons of failures."""

    def __init__(self, board: Board, silence: Silence | None = None, say: Say = unheard) -> None:
        self.say = say
        self.deaths = Deaths()
        self.heard: set[tuple[str, str]] = set()
        """Notes that were passed on."""
        self.board = board
        self.silence = silence or Silence(None)
        self.curves: dict[str, list[dict[str, Any]]] = {}
        """Epochs of each since it was begun or gone on with."""
        self.failures: dict[str, str] = {}
        self.lost: set[str] = set()
        """Those of which no epoch came before their worker died."""

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker took it; also after it was lost with its worker, and goes on from its checkpoint or starts over."""
        self.silence.broken(place_of(trial.config["job"]))
        self.board.winner_begin(trial.config["job"]["folder"])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch of a winner, or why it failed.

        Raises:
            AwayError: storage took nothing of it for too long; it stays open.
        """
        _check_storage(result)
        place = place_of(trial.config["job"])
        self.silence.broken(place)
        if "failure" in result:
            self.failures[place] = result["failure"]
            return
        if (note := result.pop(NOTE, "")) and (place, note) not in self.heard:
            self.heard.add((place, note))
            self.say(f"note: {place}: {note}")
        before = [row for row in self.curves.get(place, []) if row["epoch"] < result["epoch"]]
        self.deaths.hear(place, result["epoch"], trial)
        self.curves[place] = [*before, result]
        self.board.winner_epoch(trial.config["job"]["folder"], self.curves[place])

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its worker died, and another one will go on with it."""
        if self.silence.reason(place_of(trial.config["job"])):
            self.silence.last_try(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its worker died more often than is allowed."""
        place = place_of(trial.config["job"])
        self.failures[place] = self.silence.reason(place) or reason_of(trial)
        if place not in self.curves:
            self.lost.add(place)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Ray has dealt with what came, or nothing came for a moment."""
        self.silence.look({place_of(trial.config["job"]): trial for trial in trials if trial.status == RUNNING})

    def progress(self) -> tuple[int, int]:
        """Epochs that are done in all, and those among them that a run before this one had done."""
        curves = list(self.curves.values())  # the progress line is made in a thread of its own
        return sum(int(curve[-1]["epoch"]) for curve in curves), sum(int(curve[0]["epoch"]) - 1 for curve in curves)


def _check_storage(result: Mapping[str, Any]) -> None:
    if AWAY in result:
        raise AwayError(result[AWAY])


def place_of(job: Mapping[str, Any]) -> str:
    """The name of a retraining among the winners."""
    return f"{job['label']}/seed-{job['replicate']}"
