"""Six conclusions that the paper's tables suggest, each as one or two comparisons that predictions can decide."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.conclusions import SUPPORTED, UNDECIDED, Conclusion, best_of_table, larger_auc, lower_error, unmeasured
from core.config import Config, learns_apart
from core.metrics import Floats, Predictions, Truth, gender_margin, nme_per_face_pct
from core.names import Architecture
from core.prediction import loss_per_face, model_loss
from core.published import published_table
from core.replication import CHOICES

VALIDATION, TEST = "validation faces", "test faces"
NME = "NME, points"
APART = "no weight was trained for both tasks, so neither could change how the other learned"

TABLE_CLAIMS: dict[int, tuple[str, str, str, str]] = {
    1: ("adamax", "1. Adamax is the best optimiser (table I)", "loss", "cross-entropy, nats"),
    2: ("l1", "2. L1 is the best landmark loss (table II)", "nme_pct", NME),
    3: ("1, 20", "3. (1, 20) is the best pair of lambda1 and lambda2 (table III)", "nme_pct", NME),
    4: ("512", "4. 512 is the best d_k (table IV)", "loss", "the model's loss"),
}
"""For each table the paper's choice, its claim, the metric that the choice goes by, and what that is called."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One row of tables I to IV as it was trained."""

    label: str
    config: Config
    runs: tuple[Predictions, ...]
    """For the validation faces, one for each seed."""


def cell_label(values: Sequence[Any]) -> str:
    """How a row is named: its choices as the paper writes them, such as ``1, 20``."""
    return ", ".join(value if isinstance(value, str) else f"{value:g}" for value in values)


def table_conclusion(
    number: int, cells: Sequence[Cell], seeds: int, truth: Truth, papers_loss: bool = True
) -> Conclusion:
    """The claim that the paper makes of one of tables I to IV.

    A row of which a seed failed is no rival, which is said, and without it the claim is not supported, since it might
    have been the one that is better. If it is the paper's choice, or no rival is left, nothing is measured.

    Args:
        papers_loss: whether the models' loss has the unit of the paper's; otherwise its lead is no other's measure.
    """
    claimed, claim, metric, unit = TABLE_CLAIMS[number]
    measure = f"{unit}, {VALIDATION}"
    if number == 3 and all(learns_apart(cell.config.flat()) for cell in cells):
        return unmeasured(claim, measure, APART)
    whole = {cell.label: cell for cell in cells if len(cell.runs) == seeds}
    if claimed not in whole or len(whole) < 2:
        return unmeasured(claim, measure)
    errors = {label: [_error(metric, cell, run, truth) for run in cell.runs] for label, cell in whole.items()}
    keys, table = CHOICES[number], published_table(number)
    published = {cell_label([row[key] for key in keys]): float(row[metric]) for row in table.to_dict("records")}
    if metric == "loss" and not papers_loss:
        published, measure = dict.fromkeys(published, math.nan), f"{measure}; in another unit than the paper's"
    lost = [cell.label for cell in cells if cell.label not in whole]
    if lost:
        measure += f"; without {', '.join(lost)}, of which a seed failed"
    found = best_of_table(claim, measure, claimed, errors, published, truth.person)
    return replace(found, verdict=UNDECIDED) if lost and found.verdict == SUPPORTED else found


def _error(metric: str, cell: Cell, run: Predictions, truth: Truth) -> Floats:
    if metric == "loss":
        return loss_per_face(run, truth, model_loss(cell.config.training))
    assert run.landmarks is not None
    return nme_per_face_pct(run.landmarks, truth.landmarks)


def model_conclusions(
    tested: Mapping[str, Mapping[int, Predictions]], truth: Truth, apart: bool = False
) -> list[Conclusion]:
    """What the paper concludes from table VI about its four models, over the seeds that both of a pair have.

    Args:
        tested: predictions of each architecture for the test faces by the number of the seed.
        apart: whether the multi-task model learned each task as if alone (:func:`core.config.learns_apart`, with fixed
            lambdas): it differs from single-task models only in which epoch was kept, so that there is nothing to
            conclude from it.
    """

    def shared(one: str, other: str) -> list[int]:
        return sorted(set(tested[one]) & set(tested[other]))

    def auc(claim: str, better: str, worse: str) -> Conclusion:
        measure, seeds = f"AUC, {TEST}", shared(better, worse)
        if not seeds:
            return unmeasured(claim, measure)
        runs = [[gender_margin(_known(tested[one][k].gender_logits)) for k in seeds] for one in (better, worse)]
        paper = _paper("gender_auc", better, worse)
        return larger_auc(claim, measure, runs[0], runs[1], truth.gender, worse, paper, truth.person)

    def nme(claim: str, better: str, worse: str) -> Conclusion:
        measure, seeds = f"{NME}, {TEST}", shared(better, worse)
        if not seeds:
            return unmeasured(claim, measure)
        true = truth.landmarks
        runs = [[nme_per_face_pct(_known(tested[one][k].landmarks), true) for k in seeds] for one in (better, worse)]
        paper = -_paper("nme_pct", better, worse)
        return lower_error(claim, measure, runs[0], runs[1], worse, paper, truth.person)

    gender, landmarks, multitask, attention = Architecture
    alone = [
        auc("5a. Single-task beats multi-task: gender (table VI)", gender, multitask),
        nme("5b. Single-task beats multi-task: landmarks (table VI)", landmarks, multitask),
    ]
    return [
        *(unmeasured(one.claim, one.measure, APART) if apart else one for one in alone),
        auc("6a. Attention helps gender (table VI)", attention, multitask),
        nme("6b. Attention hurts landmarks (table VI; in table V it helps them)", multitask, attention),
    ]


def _known(part: Floats | None) -> Floats:
    assert part is not None
    return part


def _paper(metric: str, one: str, other: str) -> float:
    table = published_table(6).set_index("architecture")[metric]
    return float(table[one] - table[other])
