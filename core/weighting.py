"""How the losses of two tasks become the one that is minimised: by fixed weights, or by weights that follow training.

``fixed`` is equation 17. ``uncertainty`` (Kendall, Gal and Cipolla, 2018) learns a log-variance s for each task and
minimises the sum of exp(-s) lambda L + s / 2; where s has settled, a task's weight is 1 / (2 L), whatever its lambda.
``dwa`` (dynamic weight average: Liu, Johns and Davison, 2019) weighs each task by how slowly its loss fell between the
two epochs before: twice the softmax of their ratio over :data:`TEMPERATURE`, times lambda.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.names import LossWeighting, Task

TEMPERATURE = 2.0
# Log-variances have an optimiser of their own, so that they follow the losses whatever the network's rate. It is plain
# descent, as their gradients are (1 - L / L_settled) / 2 at any scale of the losses. They follow in 2 / 0.1 = 20 steps,
# which are an epoch of 300 faces in batches of 15.
VARIANCE_LR = 0.1
STEEPEST = 1.0  # gradient; one batch with a loss a thousand times as high would throw a log-variance out of reach


class TaskWeights:
    """The weights of the tasks' losses, and what they remember from step to step and from epoch to epoch.

    A model with one task has no use for weights: its loss is the task's.

    Args:
        lambdas: lambda1 and lambda2 of equation 17, by task.
    """

    def __init__(self, kind: LossWeighting, lambdas: Mapping[Task, float], device: torch.device) -> None:
        self.kind = kind
        self.lambdas = dict(lambdas)
        self.log_variances = {task: torch.zeros((), device=device, requires_grad=True) for task in lambdas}
        self.started = False
        self.optimizer = torch.optim.SGD(self.log_variances.values(), lr=VARIANCE_LR)
        self.sums = {task: torch.zeros((), device=device) for task in lambdas}
        self.epochs: list[dict[Task, float]] = []
        """Mean loss of each task in the epochs before, at most the last two."""

    def of_epoch(self) -> dict[Task, float]:
        """The weights of this epoch, lambda apart; 1 each where they do not depend on the epoch."""
        if self.kind is not LossWeighting.DWA or len(self.epochs) < 2:
            return dict.fromkeys(self.lambdas, 1.0)
        before, last = self.epochs
        ratios = np.array([last[task] / max(before[task], 1e-12) for task in self.lambdas]) / TEMPERATURE
        shares = np.exp(ratios - ratios.max())
        return dict(zip(self.lambdas, (len(shares) * shares / shares.sum()).tolist(), strict=True))

    def combined(self, losses: Mapping[Task, Tensor], told: Tensor, weights: Mapping[Task, float]) -> Tensor:
        """What a step minimises.

        Args:
            told: the same losses by equation 17.
            weights: those that :meth:`of_epoch` gave.
        """
        if len(losses) == 1 or self.kind is LossWeighting.FIXED:
            return told
        if self.kind is LossWeighting.UNCERTAINTY:
            self._start(losses)
            parts = [
                (-self.log_variances[task]).exp() * self.lambdas[task] * loss + self.log_variances[task] / 2
                for task, loss in losses.items()
                if self.lambdas[task]  # a task without weight has nothing to settle
            ] or [0.0 * loss for loss in losses.values()]
        else:
            parts = [weights[task] * self.lambdas[task] * loss for task, loss in losses.items()]
        return torch.stack(parts).sum()

    @torch.no_grad()
    def _start(self, losses: Mapping[Task, Tensor]) -> None:
        """Begin where the log-variances of the first batch's losses settle, which from 0 would take epochs to reach."""
        if not self.started:
            self.started = True
            for task, loss in losses.items():
                if self.lambdas[task]:
                    self.log_variances[task].copy_((2 * self.lambdas[task] * loss).clamp_min(1e-6).log())

    def after_step(self, losses: Mapping[Task, Tensor], faces: int) -> None:
        """A step on so many faces has been made, and its gradients are still there."""
        if len(losses) == 1:
            return
        if self.kind is LossWeighting.UNCERTAINTY:
            nn.utils.clip_grad_value_(self.log_variances.values(), STEEPEST)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        elif self.kind is LossWeighting.DWA:
            for task, loss in losses.items():
                self.sums[task] += loss.detach() * faces

    def after_epoch(self, faces: int) -> None:
        """An epoch of so many faces is over."""
        if self.kind is LossWeighting.DWA:
            self.epochs = [*self.epochs, {task: float(total) / faces for task, total in self.sums.items()}][-2:]
            for total in self.sums.values():
                total.zero_()

    def state_dict(self) -> dict[str, Any]:
        """What it remembers."""
        return {
            "log_variances": {str(task): float(value.detach()) for task, value in self.log_variances.items()},
            "started": self.started,
            "optimizer": self.optimizer.state_dict(),
            "epochs": [{str(task): loss for task, loss in epoch.items()} for epoch in self.epochs],
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        for task, value in self.log_variances.items():
            value.fill_(float(state["log_variances"][str(task)]))
        self.started = bool(state["started"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epochs = [{Task(task): float(loss) for task, loss in epoch.items()} for epoch in state["epochs"]]
