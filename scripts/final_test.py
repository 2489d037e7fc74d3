"""Test a run's winners, once: the only program that opens the test split.

    python scripts/final_test.py runs/multitask

Writes RUN/test: scores.csv, predictions.csv, figures and report.html.
"""

import argparse
from pathlib import Path

import matplotlib.image
import pandas as pd
import torch
from torch.utils.tensorboard import SummaryWriter

from core.atomic import write_text
from core.cache_folder import default_cache
from core.errors import UserError, run_script
from core.final_test import predictions_table, record_opening, run_test, scores_table
from core.gallery import write_figures
from core.preparation import load_faces
from core.report import number, write_report
from core.run_folder import RunFolder
from core.splits import read_split
from core.winner import read_winners
from tune.plan import plan_from_json
from tune.progress import Counter

SHOWN = ("gender_auc", "gender_accuracy", "nme_pct", "fr10_pct", "relative_error")


def main() -> None:
    """Parse, test, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    parser.add_argument("--data", metavar="DIR", help="where the faces are now, if they have moved")
    parser.add_argument("--cache", type=Path, default=default_cache(), metavar="DIR")
    arguments = parser.parse_args()
    run = RunFolder(arguments.run)
    search = run.read_search()
    plan = plan_from_json(search["plan"], str(run.search))
    winners = read_winners(run)
    faces = load_faces(arguments.data or plan.data, plan.drawn_faces, 0, arguments.cache, Counter)
    if faces.fingerprint != search["data_fingerprint"]:
        raise UserError(f"{arguments.data or plan.data}: not the faces of this run (their content has changed)")
    split = read_split(run.split, faces)
    before = record_opening(run.test)
    if before:
        print(f"note: the test split of this run has been opened before: {', '.join(before)}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result = run_test(run, winners, faces, split, device, lambda text: print(text, flush=True))
    table = scores_table(result)
    write_text(run.test / "scores.csv", table.to_csv(index=False))
    write_text(run.test / "predictions.csv", predictions_table(result).to_csv(index=False))
    figures = write_figures(run.test / "figures", result)
    search["tested"] = pd.Timestamp.now("UTC").strftime("%Y-%m-%d %H:%M UTC")
    search["test_device"] = torch.cuda.get_device_name() if device.type == "cuda" else "a CPU"
    report = run.test / "report.html"
    write_text(report, write_report(report, result, search, before, figures))
    show_in_tensorboard(run, figures)
    print_scores(table)
    print(f"report: {report}")


def print_scores(table: pd.DataFrame) -> None:
    """The headline scores, mean over seeds with the 95 % interval over faces."""
    for _, row in table.iterrows():
        cells = []
        for name in SHOWN:
            value = row.get(f"test_{name}")
            if value is not None and not pd.isna(value):
                low, high = (number(name, row[f"test_{name}_{end}"]) for end in ("lo", "hi"))
                cells.append(f"{name} {number(name, value)} ({low} to {high})")
        print(f"{row['model']}: {', '.join(cells)}")
        if "nme_gain_pct" in row and not pd.isna(row["nme_gain_pct"]):
            value, low, high = (row[f"nme_gain_pct{end}"] for end in ("", "_lo", "_hi"))
            print(f"  NME below the mean face's by {value:.2f} points ({low:.2f} to {high:.2f}, paired over faces)")


def show_in_tensorboard(run: RunFolder, figures: dict[Path, str]) -> None:
    """The figures among the run's events, beside the winners' curves."""
    with SummaryWriter(str(run.path / "winners")) as writer:
        for path in figures:
            pixels = matplotlib.image.imread(path)[..., :3]
            writer.add_image(f"test/{path.stem}", pixels, dataformats="HWC")


if __name__ == "__main__":
    run_script(main)
