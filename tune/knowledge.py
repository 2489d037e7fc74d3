"""From earlier runs and a prior to the head start of a search: what of them fits, and what their scores are worth."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.config import config_from_flat, filled
from core.errors import UserError
from core.names import LossWeighting, Schedule
from core.patience import Say
from core.storage import Storage
from search_spaces.drawn import as_good_as_none, parameters_in
from search_spaces.effect import matters
from search_spaces.joint import HELPFUL, HELPFUL_RANGES
from search_spaces.parts import LAMBDAS
from search_spaces.prior import ELSEWHERE, PAPER_PRIOR, Prior, centred
from tune.earlier import EarlierRun, place_of, read_run, winners_prior
from tune.head_start import Earlier, HeadStart
from tune.materials import SAME
from tune.plan import Plan
from tune.profile import PROFILES

PAPER = "paper"  # as a value of --prior
WORDS = {
    "data_fingerprint": "faces",
    "split_fingerprint": "split",
    "weights_sha256": "weights",
    "precision": "precision",
}
CACHED = "activation_cache"
DEFAULT_KEYS = frozenset([*HELPFUL, *HELPFUL_RANGES, *(key for settings in PROFILES.values() for key in settings)])
"""What searches set of their own accord, so that one may differ from another in it without anybody's having asked."""


@dataclass(frozen=True)
class Fitting:
    """An earlier trial that the new search could have drawn."""

    trial: Earlier
    kind: str
    differs: frozenset[str]
    """What makes its scores another thing than those of the new search, as far as plans say."""
    record: Mapping[str, Any]
    """``search.json`` of its run."""


class Knowledge:
    """What ``--warm-start`` and ``--prior`` name: read before anything is started, then fitted to the plan.

    Args:
        runs: names under ``storage``, folders or URLs.
        prior: ``paper``, or a run whose winners are known to be good.

    Raises:
        UserError: a run cannot be read.
    """

    def __init__(self, runs: Sequence[str], prior: str | None, storage: Storage) -> None:
        places = {place_of(word, storage): word for word in runs}
        self.runs = [read_run(word, storage) for word in places.values()]
        self.records = [(f"--warm-start {run.name}", run.record) for run in self.runs]
        self.asked = prior
        self.values: Prior = PAPER_PRIOR
        if prior is not None and prior != PAPER:
            self.values, record = winners_prior(prior, storage)
            self.records.append((f"--prior {prior}", record))
        self.trials = 0
        self.fitting: list[Fitting] = []
        self.prior: dict[str, dict[str, Any]] = {}

    def fresh_seed(self, asked: int | None, say: Say) -> dict[str, int]:
        """The option of a seed that no run has which is learned from; none where one is asked.

        With the seed of an earlier run a random search would draw its trials again.

        Raises:
            UserError: the asked one is a run's.
        """
        taken = {record["plan"].get("seed", Plan.seed): name for name, record in reversed(self.records)}
        if asked in taken:
            raise UserError(f"--seed {asked}: {taken[asked]} has it too, and its trials would be drawn again")
        if asked is not None or not taken:
            return {}
        # Six digits out of theirs, not the next number, which what is learned from may itself have learned from.
        seed = int.from_bytes(hashlib.sha256(repr(sorted(map(str, taken))).encode()).digest()[:8]) % 10**6
        say(f"seed {seed}, as the runs that it learns from had others")
        return {"seed": seed}

    def fit(self, plan: Plan, say: Say) -> None:
        """Look for what the plan's space can use; what it cannot use of a prior is said.

        Raises:
            UserError: there is nothing.
        """
        self.trials = plan.trials
        self.fitting = distinct([fitting for run in self.runs for fitting in fitting_trials(plan, run)])
        if self.runs and not self.fitting:
            raise UserError(f"--warm-start {self._names()}: no trial fits space {plan.space['name']} and its settings")
        if self.asked is not None:
            self.prior = fitted_prior(plan, self.asked, self.values, say)

    def head_start(self, identity: Mapping[str, Any], say: Say) -> HeadStart | None:
        """Leaders, trials of which the scores are worth the same, and the prior; None if nothing was asked for.

        Args:
            identity: of the new search's faces, split and weights, as in ``search.json``.

        Raises:
            UserError: a run has another split of the same faces.
        """
        if not self.runs and self.asked is None:
            return None
        for name, record in self.records:
            check_unseen(name, record, identity)
        differs = [one.differs | {WORDS[k] for k in SAME if one.record.get(k) != identity[k]} for one in self.fitting]
        order = sorted(range(len(differs)), key=lambda i: (bool(differs[i]), min(self.fitting[i].trial.costs)))
        leaders = leaders_of([self.fitting[i] for i in order], self.trials)
        earlier = [one.trial for one, other in zip(self.fitting, differs, strict=True) if not other]
        if self.runs:
            say(self._told(len(leaders), earlier, sorted(frozenset().union(*differs))))
        return HeadStart(leaders, earlier, self.prior)

    def _told(self, leaders: int, earlier: Sequence[Earlier], differs: Sequence[str]) -> str:
        count, used = sum(run.count for run in self.runs), len(self.fitting)
        told = f"warm start from {self._names()}: {used} of {count} trials are used, {count - used} left out; "
        told += f"the first {leaders} new ones are their leaders" if leaders > 1 else "the first new one is the leader"
        if differs:
            told += f"; scores of {used - len(earlier)} are not comparable (other {', '.join(differs)})"
        if off := sum(not one.same_rungs for one in earlier):
            told += f"; {off} do not count for early stopping (they were stopped by other rules)"
        return told

    def _names(self) -> str:
        return ", ".join(run.name for run in self.runs)


def check_unseen(name: str, record: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Refuse a run that has trained and judged its models on faces that the new search leaves unseen for its test.

    Raises:
        UserError: it has another split of the same faces.
    """
    same_faces = record.get("data_fingerprint") == identity["data_fingerprint"]
    if same_faces and record.get("split_fingerprint") != identity["split_fingerprint"]:
        raise UserError(f"{name}: it has seen faces of this search's test split; take its split_seed (--set)")


def fitting_trials(plan: Plan, run: EarlierRun) -> list[Fitting]:
    """The trials that a new search can use: their parameters are in its space, and its fixed settings are theirs, but
    for those that a profile sets (frozen blocks, width of heads, start of landmarks) or ``joint`` (what helps).

    Their scores are those of the new search's objective, which curves hold whatever the earlier one was.
    """
    space, aim = plan.search_space(), plan.aim()
    whole = run.plan.grace >= min(run.plan.epochs, plan.epochs)  # none of its trials was stopped before ours end
    ours, theirs = ((one.grace, one.reduction, one.objective) for one in (plan, run.plan))
    same_rungs = whole or ours == theirs
    found = []
    for trial in run.trials:
        parameters = parameters_in(space, trial.config)
        costs = [aim.cost(row) for row in trial.curve[: plan.epochs]]
        if parameters is None or float("inf") in costs:
            continue
        config = filled(config_from_flat({**space.fixed, **parameters}).flat())
        had = filled(trial.config)
        differs = {key for key in config if config[key] != had[key]} - set(ELSEWHERE)
        differs -= as_good_as_none(space, had)
        differs = {key for key in differs if matters(key, config) or matters(key, {**config, key: had[key]})}
        if aim.name == "val_loss":  # it is told with the lambdas, also where nothing is trained by them
            told = {**config, "loss_weighting": LossWeighting.FIXED, "frozen_blocks": 0}
            differs |= {key for key in LAMBDAS if config[key] != trial.config[key] and matters(key, told)}
        if config["augmentation"] and config[CACHED] != trial.config[CACHED]:
            differs.add(CACHED)  # kept views are other faces than those that are changed anew
        if differs <= DEFAULT_KEYS | {CACHED}:
            differs |= {"folds"} if run.plan.folds != plan.folds else set()
            decays = config["lr_schedule"] != Schedule.CONSTANT
            differs |= {"epochs"} if decays and run.plan.epochs != plan.epochs else set()
            kind, status = config["architecture"], "finished" if len(costs) >= plan.epochs else "stopped"
            earlier = Earlier(parameters, costs, status, same_rungs)
            found.append(Fitting(earlier, kind, frozenset(differs), run.record))
    return found


def distinct(fitting: Sequence[Fitting]) -> list[Fitting]:
    """Without those that another has too: runs of one seed draw the same trials, and train them to the same scores.

    Of two of which one was stopped earlier, the longer one stays.
    """
    longest_first = sorted(range(len(fitting)), key=lambda i: -len(fitting[i].trial.costs))
    kept: dict[str, list[int]] = {}
    for i in longest_first:
        trial = fitting[i].trial
        alike = kept.setdefault(repr(sorted(trial.parameters.items())), [])
        if not any(fitting[j].trial.costs[: len(trial.costs)] == trial.costs for j in alike):
            alike.append(i)
    return [fitting[i] for i in sorted(i for alike in kept.values() for i in alike)]


def fitted_prior(plan: Plan, asked: str, prior: Prior, say: Say) -> dict[str, dict[str, Any]]:
    """What of a prior the plan's space can draw around, by kind of model; what it cannot is said.

    Raises:
        UserError: nothing.
    """
    space = plan.search_space()
    found, skipped = {}, []
    for kind in map(str, plan.architectures()):
        centre, lacking = centred(space, kind, prior.get(kind, {}))
        skipped += [word for word in lacking if word not in skipped]
        if centre:
            found[kind] = dict(centre)
    if not found:
        raise UserError(f"--prior {asked}: none of its values are in space {space.name}")
    say(f"prior {asked}: values for {', '.join(found)}" + (f"; left out: {'; '.join(skipped)}" if skipped else ""))
    return found


def leaders_of(best_first: Sequence[Fitting], trials: int) -> list[dict[str, Any]]:
    """Parameters of the best of each kind of model; not more than there will be trials."""
    best: dict[str, dict[str, Any]] = {}
    for one in best_first:
        best.setdefault(one.kind, one.trial.parameters)
    return list(best.values())[:trials]
