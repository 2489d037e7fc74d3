"""The number by which trainings are compared: the metric that a search minimises or maximises."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.names import HIGHER_IS_BETTER


@dataclass(frozen=True)
class Objective:
    """What a search minimises or maximises, such as ``relative_error`` or ``val_gender_auc``."""

    name: str

    @property
    def higher_is_better(self) -> bool:
        """Whether larger values win."""
        return self.name.removeprefix("val_") in HIGHER_IS_BETTER

    def cost(self, metrics: Mapping[Any, Any]) -> float:
        """The objective as a number to minimise; infinite where it is missing."""
        value = metrics.get(self.name)
        if value is None or math.isnan(value):
            return math.inf
        return -float(value) if self.higher_is_better else float(value)
