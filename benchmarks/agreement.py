"""How far can gender come on these faces? What networks get wrong one by one, averaged, and all alike.

    python -m benchmarks.agreement --data data/celeba-mini --weights vgg16.safetensors --rates 3e-5 --only base mirrored

Takes trainings of ``benchmarks.additions``, with the same options, and trains those that are missing. A row for each
addition, and one for all: accuracy and AUC (means over folds) of one training, the mean over seeds; of the average of
their margins (logit of man minus logit of woman), face by face; and how many faces more than half, and all, get wrong.
The average is rid of each seed's chance; what nearly all get wrong, networks trained like these do not see. The epochs
are those that are best on these same faces. Appends to benchmarks/results/agreement.csv.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.additions import add_training_options, check_training_options, lab_of
from benchmarks.additions_lab import truth_of_folds
from benchmarks.additions_list import BASE
from benchmarks.material import RESULTS
from benchmarks.process import in_fresh_process
from benchmarks.record import append_rows
from benchmarks.table import Row, text_table
from core.errors import run_script
from core.metrics import Floats, Integers, auc, gender_margin
from tune.cluster import WORKER_ENVIRONMENT

ALL = "all of these"


def main() -> None:
    """Parse, train what is missing, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_training_options(parser)
    given = parser.parse_args()
    check_training_options(given)
    rows = in_fresh_process(measured, given, environment=WORKER_ENVIRONMENT)
    print(text_table(rows, tuple(rows[0])))
    append_rows(RESULTS / "agreement.csv", rows)


def measured(given: argparse.Namespace) -> list[Row]:
    """The margins of each addition's trainings, and rows of them."""
    names = given.only or [BASE]
    lab = lab_of(given, names)
    margins, rates = {}, {}
    for name in names:
        rates[name] = given.at[name] if name in given.at else lab.best_rate(name, given.rates)
        trainings = [lab.training(name, rates[name], seed, given.folds) for seed in range(given.seeds)]
        for training in trainings:
            lab.result(training)
        said = [lab.predictions(training).gender_logits for training in trainings]
        margins[name] = [gender_margin(logits) for logits in said if logits is not None]
    shape = {"data": Path(given.data).name, "frozen_blocks": given.blocks, "head_width": given.head_width}
    truth = truth_of_folds(lab.parts[: given.folds])
    rows = rows_of(margins, truth.gender, lab.folds_of_faces(given.folds))
    return [{**shape, "lr": rates.get(str(row["addition"])), "folds": given.folds, **row} for row in rows]


def rows_of(margins: Mapping[str, Sequence[Floats]], gender_N: Integers, fold_N: Integers) -> list[Row]:
    """A row for each addition, and one for all together.

    Args:
        margins: by addition, of each training (N,).
    """
    whole = {**margins, ALL: [margin for group in margins.values() for margin in group]}
    return [_row(name, np.stack(group), gender_N, fold_N) for name, group in whole.items()]


def _row(name: str, margin_TN: Floats, gender_N: Integers, fold_N: Integers) -> Row:
    wrong_TN = (margin_TN > 0) != gender_N.astype(bool)
    average_N = margin_TN.mean(axis=0)
    return {
        "addition": name,
        "trainings": len(margin_TN),
        "accuracy": 1 - float(wrong_TN.mean()),
        "auc": float(np.mean([_auc(margin_N, gender_N, fold_N) for margin_N in margin_TN])),
        "accuracy_of_average": float(((average_N > 0) == gender_N).mean()),
        "auc_of_average": _auc(average_N, gender_N, fold_N),
        "faces": len(gender_N),
        "most_are_wrong": int((wrong_TN.mean(axis=0) > 0.5).sum()),
        "all_are_wrong": int(wrong_TN.all(axis=0).sum()),
    }


def _auc(margin_N: Floats, gender_N: Integers, fold_N: Integers) -> float:
    """Mean over folds, each of another model."""
    return float(np.mean([auc(margin_N[fold_N == fold], gender_N[fold_N == fold]) for fold in np.unique(fold_N)]))


if __name__ == "__main__":
    run_script(main)
