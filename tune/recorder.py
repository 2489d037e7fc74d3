"""What happens to trials, written down as it happens: ledger, study and TensorBoard."""

from typing import Any

from ray.tune import Callback, Stopper

from core.retraining import Objective
from tune.board import Board
from tune.ledger import ENDED, Entry, Ledger, Status
from tune.study import Study


class Recorder(Callback):
    """Ray's events of search trials, brought to our files."""

    def __init__(self, ledger: Ledger, study: Study, board: Board, epochs: int) -> None:
        self.ledger = ledger
        self.study = study
        self.board = board
        self.epochs = epochs

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker took the trial; also after it was lost with its worker, and starts over."""
        number = trial.config["number"]
        if number not in self.ledger.entries:
            self.ledger.add(number, trial.config["parameters"])
        self.ledger.entries[number].status = Status.RUNNING
        self.ledger.forget_curve(number)
        self.ledger.write()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch, or the reason why there are no more."""
        number = trial.config["number"]
        if "failure" in result:
            self.ledger.entries[number].reason = result["failure"]
            return
        self.ledger.record(number, result)
        self.board.epoch(number, self.ledger.entries[number].curve[-1])
        self.ledger.write()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The trial trained all its epochs, failed by itself, or was stopped."""
        entry = self.ledger.entries[trial.config["number"]]
        if entry.reason:
            self.end(entry, Status.FAILED)
        else:
            self.end(entry, Status.FINISHED if len(entry.curve) >= self.epochs else Status.STOPPED)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its worker died more often than is allowed."""
        entry = self.ledger.entries[trial.config["number"]]
        entry.reason = "its worker process died each time it was tried"
        self.end(entry, Status.FAILED)

    def end(self, entry: Entry, status: Status) -> None:
        """Say everywhere that a trial is over."""
        if entry.status in ENDED:
            return
        entry.status = status
        best = entry.best(self.ledger.objective)
        cost = self.ledger.objective.cost(best) if best and status is not Status.FAILED else None
        self.study.tell(entry.number, str(status), cost, len(entry.curve), entry.reason)
        self.board.end(entry.number, entry.config, best)
        self.ledger.write()


class FailureLimit(Stopper):
    """Ends a search in which trial after trial fails: most likely something is wrong that no other trial mends."""

    def __init__(self, ledger: Ledger, most: int) -> None:
        self.ledger = ledger
        self.most = most

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Single trials are stopped elsewhere."""
        return False

    def stop_all(self) -> bool:
        """Whether too many failed."""
        return self.ledger.count(Status.FAILED) > self.most


class RetrainRecorder(Callback):
    """Epochs of the winners, for progress, TensorBoard and the reasons of failures."""

    def __init__(self, board: Board, objective: Objective) -> None:
        self.board = board
        self.objective = objective
        self.epochs: dict[str, int] = {}
        self.failures: dict[str, str] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch of a winner, or why it failed."""
        place = _place(trial)
        if "failure" in result:
            self.failures[place] = result["failure"]
            return
        self.epochs[place] = int(result["epoch"])
        self.board.winner_epoch(trial.config["job"]["folder"], result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its worker died more often than is allowed."""
        place = _place(trial)
        self.failures[place] = "its worker process died each time it was tried"


def _place(trial: Any) -> str:
    job = trial.config["job"]
    return f"{job['label']}/seed-{job['replicate']}"
