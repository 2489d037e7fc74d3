"""The paper's conclusions put to our seeds and faces: how often each held, and whether other faces could reverse it.

Errors are per face, (N,), smaller is better; a run is one training seed. The mean over seeds is taken face by face, so
the interval is about which faces were drawn; the count over seeds is about training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.bootstrap import INTERVAL, Estimate, paired_difference, resampled_faces
from core.metrics import Floats, Integers, auc

RESAMPLES = 2000
SEED = 0

SUPPORTED, REVERSED, UNDECIDED = "supported", "reversed", "not decided"


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
    difference: Estimate
    """In the claim's favour if above 0, with its 95 % interval over faces."""
    paper: float
    """The same difference in the paper's tables."""

    @property
    def verdict(self) -> str:
        """What the interval says; too few faces decide nothing."""
        _, low, high = self.difference
        if low > 0:
            return SUPPORTED
        return REVERSED if high < 0 else UNDECIDED


def best_of_table(
    claim: str, measure: str, claimed: str, errors: Mapping[str, Sequence[Floats]], published: Mapping[str, float]
) -> Conclusion:
    """That ``claimed`` has the smallest mean error of all rows; its rival is the best of the others on our seeds.

    Args:
        errors: for each row an array (N,) for each seed, the same number of seeds for all.
        published: the paper's mean error of each row.
    """
    means = {name: [float(run.mean()) for run in runs] for name, runs in errors.items()}
    others = [name for name in errors if name != claimed]
    rival = min(others, key=lambda name: sum(means[name]))
    held = sum(all(means[claimed][k] < means[name][k] for name in others) for k in range(len(errors[claimed])))
    ours, theirs = (np.mean(errors[name], axis=0) for name in (claimed, rival))
    difference = paired_difference(theirs, ours, resamples=RESAMPLES, seed=SEED)
    paper = published[rival] - published[claimed]
    return Conclusion(claim, measure, rival, held, len(errors[claimed]), difference, paper)


def lower_error(
    claim: str, measure: str, better: Sequence[Floats], worse: Sequence[Floats], rival: str, paper: float
) -> Conclusion:
    """That one model's mean error is smaller than another's, seed by seed."""
    held = sum(bool(one.mean() < other.mean()) for one, other in zip(better, worse, strict=True))
    difference = paired_difference(np.mean(worse, axis=0), np.mean(better, axis=0), resamples=RESAMPLES, seed=SEED)
    return Conclusion(claim, measure, rival, held, len(better), difference, paper)


def larger_auc(
    claim: str,
    measure: str,
    better: Sequence[Floats],
    worse: Sequence[Floats],
    gender_N: Integers,
    rival: str,
    paper: float,
) -> Conclusion:
    """That one model's area under the ROC curve is larger; ``better`` and ``worse`` hold margins (N,), one a seed."""
    held = sum(auc(one, gender_N) > auc(other, gender_N) for one, other in zip(better, worse, strict=True))
    rng = np.random.default_rng(SEED)
    drawn = [_auc_gain(better, worse, gender_N, resampled_faces(gender_N, rng)) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, INTERVAL).tolist()
    everyone = np.arange(len(gender_N))
    difference = (_auc_gain(better, worse, gender_N, everyone), low, high)
    return Conclusion(claim, measure, rival, held, len(better), difference, paper)


def _auc_gain(better: Sequence[Floats], worse: Sequence[Floats], gender_N: Integers, faces: Integers) -> float:
    def mean(runs: Sequence[Floats]) -> float:
        return sum(auc(run[faces], gender_N[faces]) for run in runs) / len(runs)

    return mean(better) - mean(worse)
