"""The paper's conclusions put to our seeds and faces: how often each held, and whether others could reverse it.

Errors are per face, (N,), smaller is better; a run is one training seed, and run k of every row is the same seed. The
interval covers both which faces were drawn and which seeds; one seed says nothing of training's own noise, so it
decides nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.bootstrap import Estimate, twofold_auc_difference, twofold_difference
from core.metrics import Floats, Integers, auc

RESAMPLES = 2000
SEED = 0

SUPPORTED, REVERSED, UNDECIDED = "supported", "reversed", "not decided"
UNKNOWN: Estimate = (math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Conclusion:
    """One claim of the paper, measured."""

    claim: str
    measure: str
    """What the difference is of, with its unit and faces."""
    rival: str
    held: int
    """In how many of ``seeds`` the claim was true."""
    seeds: int
    """0 where the claim could not be measured."""
    difference: Estimate
    """To the rival on which the verdict hangs, in the claim's favour if above 0; 95 %, among all rivals at once."""
    paper: float
    """The same difference in the paper's tables."""
    verdict: str
    why: str = ""
    """Why it could not be measured."""


def unmeasured(claim: str, measure: str, why: str = "too little of it could be trained") -> Conclusion:
    """A claim that says nothing of these runs."""
    return Conclusion(claim, measure, "-", 0, 0, UNKNOWN, math.nan, UNDECIDED, why)


def best_of_table(
    claim: str,
    measure: str,
    claimed: str,
    errors: Mapping[str, Sequence[Floats]],
    published: Mapping[str, float],
    person_N: Integers | None = None,
) -> Conclusion:
    """That ``claimed`` has the smallest mean error of all rows.

    The best of several rivals is partly the luckiest, so the intervals of all differences are those that hold
    together in 95 % of cases (Bonferroni). Supported: all of them lie above 0; reversed: one lies below. The rival that
    is told is the one that this hangs on: whose interval ends lowest if reversed, else whose begins lowest.

    Args:
        errors: for each row an array (N,) for each seed, the same number of seeds for all.
        published: the paper's mean error of each row.
        person_N: whose face each is; None: each is another person's.
    """
    means = {name: [float(run.mean()) for run in runs] for name, runs in errors.items()}
    others = [name for name in errors if name != claimed]
    seeds = len(errors[claimed])
    held = sum(all(means[claimed][k] < means[name][k] for name in others) for k in range(seeds))
    level = 1 - 0.05 / len(others)
    ours = np.stack(errors[claimed])
    leads = {
        name: twofold_difference(
            np.stack(errors[name]), ours, resamples=RESAMPLES, seed=SEED, level=level, person_N=person_N
        )
        for name in others
    }
    verdict = _verdict(list(leads.values()), seeds)
    end = 2 if verdict == REVERSED else 1
    rival = min(others, key=lambda name: leads[name][end])
    paper = published[rival] - published[claimed]
    return Conclusion(claim, measure, rival, held, seeds, leads[rival], paper, verdict)


def lower_error(
    claim: str,
    measure: str,
    better: Sequence[Floats],
    worse: Sequence[Floats],
    rival: str,
    paper: float,
    person_N: Integers | None = None,
) -> Conclusion:
    """That one model's mean error is smaller than another's, seed by seed."""
    held = sum(bool(one.mean() < other.mean()) for one, other in zip(better, worse, strict=True))
    lead = twofold_difference(np.stack(worse), np.stack(better), resamples=RESAMPLES, seed=SEED, person_N=person_N)
    return Conclusion(claim, measure, rival, held, len(better), lead, paper, _verdict([lead], len(better)))


def larger_auc(
    claim: str,
    measure: str,
    better: Sequence[Floats],
    worse: Sequence[Floats],
    gender_N: Integers,
    rival: str,
    paper: float,
    person_N: Integers | None = None,
) -> Conclusion:
    """That one model's area under the ROC curve is larger; ``better`` and ``worse`` hold margins (N,), one a seed."""
    held = sum(auc(one, gender_N) > auc(other, gender_N) for one, other in zip(better, worse, strict=True))
    lead = twofold_auc_difference(
        np.stack(better), np.stack(worse), gender_N, resamples=RESAMPLES, seed=SEED, person_N=person_N
    )
    return Conclusion(claim, measure, rival, held, len(better), lead, paper, _verdict([lead], len(better)))


def _verdict(leads: Sequence[Estimate], seeds: int) -> str:
    if seeds > 1 and all(low > 0 for _, low, _ in leads):
        return SUPPORTED
    if seeds > 1 and any(high < 0 for _, _, high in leads):
        return REVERSED
    return UNDECIDED
