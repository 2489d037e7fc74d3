"""K-fold cross-validation: each face of train and validation is validated on once, by a model that never saw it."""

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from core.config import Config
from core.errors import UserError
from core.examples import Examples
from core.metrics import Predictions
from core.seeds import derived_seed
from core.session import Session
from core.splits import Split
from core.weights import Weights

FOLDS = 2  # first step of the path from a trial's seed; 0 and 1 are its session's own
MOST_FOLDS = 20

Folds = Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]
"""Of each fold the faces to train on and those to validate on."""


def fold_faces(split: Split, gender: NDArray[np.int64], identity: NDArray[np.int64], folds: int, seed: int) -> Folds:
    """Divide the faces of train and validation into so many folds; none for 1.

    Folds are as alike in size and in their share of women as whole people allow; nobody is in two. Sorted indices.

    Raises:
        UserError: a fold would be without women or without men.
    """
    if folds == 1:
        return []
    seen = np.sort(np.concatenate([split.train, split.validation]))
    women_and_men = np.bincount(gender[seen], minlength=2)
    if women_and_men.min() < folds:
        counts = f"{women_and_men[0]} women and {women_and_men[1]} men"
        raise UserError(f"{folds} folds need {folds} women and {folds} men; train and validation have {counts}")
    people = identity[seen]
    too_few = f"{folds} folds: one of them would be without women or without men; too few people"
    if len(np.unique(people)) < folds:
        raise UserError(too_few)
    if len(np.unique(people)) == len(seen):  # then this is enough; the other one weighs each person against each fold
        pairs = StratifiedKFold(folds, shuffle=True, random_state=seed).split(seen, gender[seen])
    else:
        pairs = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(seen, gender[seen], people)
    found = [(seen[train], seen[validation]) for train, validation in pairs]
    if any(len(np.unique(gender[part])) < 2 for pair in found for part in pair):
        raise UserError(too_few)
    return found


class FoldedSession:
    """One configuration trained on every fold side by side; scores are means over folds.

    All folds are trained an epoch before any is trained the next, so that a trial can be stopped after any epoch on
    the word of all of them. It takes the memory of as many models.

    Args:
        parts: train and validation of each fold.
        seed: fold k's session has the seed that follows from it and k.
        epochs: as of a session.
        beside: how many of these share the device.
    """

    def __init__(
        self,
        config: Config,
        parts: Sequence[tuple[Examples, Examples]],
        weights: Weights,
        seed: int,
        device: torch.device,
        epochs: int | None = None,
        beside: int = 1,
    ) -> None:
        self.sessions = [
            Session(config, *pair, weights, derived_seed(seed, FOLDS, k), device, beside * len(parts), epochs)
            for k, pair in enumerate(parts)
        ]

    @property
    def epoch(self) -> int:
        """Epochs trained, on all folds."""
        return self.sessions[-1].epoch

    @property
    def predictions(self) -> Predictions:
        """Of the last epoch, for the validation faces of the first fold, then of the second, and so on."""
        said = [session.predictions for session in self.sessions]
        logits, landmarks = [p.gender_logits for p in said], [p.landmarks for p in said]
        return Predictions(
            None if logits[0] is None else np.concatenate([part for part in logits if part is not None]),
            None if landmarks[0] is None else np.concatenate([part for part in landmarks if part is not None]),
        )

    def run_epoch(self) -> dict[str, float]:
        """Train and validate an epoch on each fold.

        Returns:
            what :meth:`core.session.Session.run_epoch` does, each number a mean over folds (``seconds_per_epoch``
            the time of all of them).

        Raises:
            DivergedError: a loss or score of a fold is not finite.
        """
        start = time.perf_counter()
        rows = []
        for session in self.sessions:
            rows.append(session.run_epoch())
            session.optimizer.zero_grad(set_to_none=True)  # or each would keep gradients as large as its network
        means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        return {**means, "epoch": self.epoch, "seconds_per_epoch": time.perf_counter() - start}
