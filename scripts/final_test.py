"""Test a run's winners, once. Only this script, and paper.py for its own models, open the test split.

    python scripts/final_test.py runs/multitask

Writes RUN/test: scores.csv, predictions.csv, figures and report.html. A test that was cut off goes on when it is
started again, as the same opening.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.image
import pandas as pd
from torch.utils.tensorboard import SummaryWriter

from core.atomic import write_text
from core.bootstrap import too_few
from core.cache_folder import CACHE_HELP, cache_folder, default_cache, kept_cache
from core.commands import Parser
from core.device import device_at_hand, make_repeatable
from core.errors import UserError, first_line, run_script
from core.faces import Faces
from core.final_test import TestResult, predictions_table, scored_test, scores_table
from core.front import Front, read_front
from core.front_figure import caption, front_figure
from core.gallery import write_figures
from core.importance_figure import importance_figures
from core.importance_table import read_importance, sentences
from core.kept_test import MEASURED, kept_run, kept_test
from core.looks import save_figures
from core.names import PARETO
from core.openings import UNKNOWN_DATE, opened_dates, opened_elsewhere, record_opening
from core.patience import Patience
from core.preparation import load_faces
from core.report import gender_is_tested, number, report_page
from core.run_folder import RunFolder
from core.search_record import is_replication
from core.splits import Split, read_split
from core.storage import run_at
from core.weights import Weights
from core.winner import Winner, check_weights, read_backbone, read_winners
from search_spaces.effect import matters
from tune.plan import plan_from_json
from tune.progress import Counter, Doing, Progress, say

REPORT = "report.html"
SHOWN = ("gender_auc", "gender_accuracy", "nme_pct", "fr10_pct", "relative_error")


Openings = tuple[list[str], dict[str, list[str]]]
"""When the test split had been opened before by a run, and by others of the same faces."""


def main() -> None:
    """Parse, test, write, print."""
    parser = Parser(__doc__)
    parser.add_argument("run", metavar="RUN", help="a run's name, its folder, or its URL")
    parser.add_argument("--data", metavar="DIR", help="where the faces are now, if they have moved")
    parser.add_argument("--cache", type=cache_folder, metavar="DIR", help=f"{CACHE_HELP}; or that of the search")
    arguments = parser.parse_args()
    storage, run = run_at(arguments.run, arguments.cache or default_cache())
    with storage.held(run, say):
        search = run.read_search()
        if is_replication(search):
            raise UserError(f"{run.path}: a replication of the paper tests its winners itself: {run.again}")
        winners, backbone = read_winners(run), read_backbone(run)
        importance = read_importance(run.importance)
        cache = arguments.cache or kept_cache(search) or default_cache()
        faces, split = read_faces(run, search, arguments.data, cache)
        front = read_front(run, search) if search["plan"].get("objective") == PARETO else None
        doing = Doing()
        with _can_go_on(run), Progress(doing.line):
            result, openings = tested(run, search, winners, backbone, (faces, split), cache, doing)
            table = scores_table(result)
            write_text(run.test / "scores.csv", table.to_csv(index=False))
            write_text(run.test / "predictions.csv", predictions_table(result).to_csv(index=False))
            report = write_page(run, search, result, front, openings, importance, doing)
            doing.text = f"tested {len(winners)} model{'s' if len(winners) > 1 else ''}"
    print_scores(table, len(split.test))
    if short := too_few(result.truth, gender_is_tested(result)):
        print(f"note: {short}")
    print(f"report: {run.url(run.test.name, REPORT) or report}")


@contextmanager
def _can_go_on(run: RunFolder) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if (run.test / MEASURED).is_file() and not (run.test / REPORT).is_file():
            say("interrupted; what was predicted is kept: started again it goes on, as the same opening")
        raise


def tested(
    run: RunFolder,
    search: dict[str, Any],
    winners: list[Winner],
    backbone: Weights,
    data: tuple[Faces, Split],
    cache: Path,
    doing: Doing,
) -> tuple[TestResult, Openings]:
    """The scores of a run's winners: predicted now, as far as a test that was cut off has not left that."""
    faces, split = data
    device = device_at_hand()
    make_repeatable(device)  # as in training
    Patience(say)(lambda: run.fetch(run.test.name), run.path)
    # What a test that was cut off has predicted, before anybody saw a score, is as good as new.
    kept = None if (run.test / REPORT).is_file() else kept_test(run.test, winners, len(split.test))
    if kept is not None and len(kept) == len(winners):
        openings = open_test(run, search, again=True)
        return scored_test(kept, faces, split, doing), openings
    check_weights(winners, backbone, device, doing)
    openings = open_test(run, search, again=kept is not None)
    return kept_run(run, kept, winners, backbone, data, device, cache, doing, Patience(say)), openings


def read_faces(run: RunFolder, search: dict[str, Any], moved: str | None, cache: Path) -> tuple[Faces, Split]:
    """The faces and the split of the run, and no others."""
    plan = plan_from_json(search["plan"], str(run.search))
    data = moved or plan.data
    faces = load_faces(data, plan.drawn_faces, cache, Counter)
    if faces.fingerprint != search["data_fingerprint"]:
        raise UserError(f"{data}: not the faces of this run (their content has changed)")
    split = read_split(run.split, faces)
    if split.fingerprint(faces.file) != search["split_fingerprint"]:
        raise UserError(f"{run.split}: not the split that the search was made with (the file has changed)")
    return faces, split


def open_test(run: RunFolder, search: dict[str, Any], again: bool) -> Openings:
    """Record that the test split is opened; when this run had opened it before, and when others had.

    Args:
        again: the last opening is gone on with.
    """
    others = opened_elsewhere(run, search)
    if again:
        *before, last = opened_dates(run) or [UNKNOWN_DATE]
        say(f"going on with the test of {last}, which was cut off")
    else:
        before = record_opening(run)
        (run.test / REPORT).unlink(missing_ok=True)  # written last: it says that all else is there
    if before:
        say(f"note: the test split of this run has been opened before: {', '.join(before)}")
    for name, dates in others.items():
        say(f"note: the same test faces have been opened by run {name} on {', '.join(dates)}")
    return before, others


def write_page(
    run: RunFolder,
    search: dict[str, Any],
    result: TestResult,
    front: Front | None,
    openings: Openings,
    importance: pd.DataFrame,
    doing: Doing,
) -> Path:
    """Figures, report and TensorBoard's copies of the figures; where the report is."""
    doing("drawing figures")
    figures = write_figures(run.test / "figures", result)
    mattered = (sentences(importance), importance_figures(importance, run.test / "figures"))
    search["tested"] = pd.Timestamp.now("UTC").strftime("%Y-%m-%d %H:%M UTC")
    search["test_device"] = result.device
    report = run.test / REPORT
    drawn = None
    if front is not None:
        drawn = front, save_figures(run.test / "figures", {"front": (front_figure(front), caption(front))})
    write_text(report, report_page(run.path.name, result, search, *openings, figures, mattered, drawn, matters))
    show_in_tensorboard(run, {**figures, **mattered[1], **(drawn[1] if drawn else {})})
    return report


def print_scores(table: pd.DataFrame, faces: int) -> None:
    """The headline scores, mean over seeds with the 95 % interval over faces; models with fewer seeds than others say
    so."""
    seeds = int(table["seeds"].max())
    over = f"mean over {seeds} seeds" if seeds > 1 else "one seed"
    print(f"test, {faces} faces that no training has seen: {over} (95 % interval over faces)")
    for _, row in table.iterrows():
        cells = []
        for name in SHOWN:
            value = row.get(f"test_{name}")
            if value is not None and not pd.isna(value):
                low, high = (number(name, row[f"test_{name}_{end}"]) for end in ("lo", "hi"))
                cells.append(f"{name} {number(name, value)} ({low} to {high})")
        fewer = not pd.isna(row["seeds"]) and row["seeds"] < seeds
        print(f"{row['model']}{f' ({row.seeds} of {seeds} seeds)' if fewer else ''}: {', '.join(cells)}")
        if "nme_gain_pct" in row and not pd.isna(row["nme_gain_pct"]):
            value, low, high = (row[f"nme_gain_pct{end}"] for end in ("", "_lo", "_hi"))
            print(f"  NME below the mean face's by {value:.2f} points ({low:.2f} to {high:.2f}, paired over faces)")


def show_in_tensorboard(run: RunFolder, figures: dict[Path, str]) -> None:
    """The figures among the run's events, beside the winners' curves; a test does not fail for want of these copies."""
    try:
        with SummaryWriter(str(run.path / "winners")) as writer:
            for path in figures:
                pixels = matplotlib.image.imread(path)[..., :3]
                writer.add_image(f"test/{path.stem}", pixels, dataformats="HWC")
    except OSError as error:
        say(f"note: TensorBoard does not have the figures ({first_line(error)})")


if __name__ == "__main__":
    run_script(main)
