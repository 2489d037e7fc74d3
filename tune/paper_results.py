"""From four finished steps to the test, the tables, the conclusions and the report of a replication."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from core.atomic import write_text
from core.claims import model_conclusions, table_conclusion
from core.conclusions import Conclusion
from core.curves import operating_area99
from core.device import make_repeatable
from core.final_test import TestResult, predictions_table, run_test, scores_table
from core.gallery import write_figures
from core.metrics import Truth, baseline_predictions, distance_pct
from core.openings import opened_elsewhere, record_opening
from core.paper_figures import write_paper_figures
from core.paper_report import conclusions_table, write_paper_report
from core.replication import AREA99, replicated_table, tested_runs
from core.run_folder import RunFolder
from core.winner import read_backbone
from tune.paper_plan import STEPS, Follow
from tune.progress import Counter
from tune.protocol import Protocol, StepResult

Say = Callable[[str], None]


def report_replication(
    run: RunFolder, protocol: Protocol, results: Sequence[StepResult], cache: Path, say: Say
) -> list[Conclusion]:
    """Test the four finals, once, and write everything that a reader wants; the conclusions."""
    search = run.read_search()
    others = opened_elsewhere(run, search)
    before = record_opening(run)
    say("testing the four models")
    first = protocol.first
    make_repeatable(first.device)
    backbone = read_backbone(results[0].run)
    winners = [result.winner for result in results]
    tested = run_test(winners, backbone, first.faces, first.split, first.device, cache, Counter)
    tables = _tables(protocol, results, tested)
    conclusions = _conclusions(protocol, results, tested)
    say("drawing figures")
    figures = _figures(run, protocol, results, tested)
    for number, table in tables.items():
        write_text(run.path / f"table{number}.csv", table.to_csv(index=False))
    write_text(run.path / "conclusions.csv", conclusions_table(conclusions).to_csv(index=False))
    write_text(run.test / "scores.csv", scores_table(tested).to_csv(index=False))
    write_text(run.test / "predictions.csv", predictions_table(tested).to_csv(index=False))
    facts = _facts(run, search, protocol, tested) | {"before": before, "others": others}
    page = write_paper_report(facts, tables, _chosen(results), conclusions, figures)
    write_text(run.path / "report.html", page)  # last: it says that all else is there
    return conclusions


def _tables(protocol: Protocol, results: Sequence[StepResult], tested: TestResult) -> dict[int, pd.DataFrame]:
    baseline = protocol.first.baseline()
    tables = {r.step.number: replicated_table(r.step.number, r.runs(), baseline) for r in results}
    finals = pd.concat([result.final_runs() for result in results if result.step.retrained], ignore_index=True)
    tables[5] = replicated_table(5, finals, baseline)
    nothing = {name: value for name, (value, _, _) in tested.baseline.items()}
    nothing[AREA99] = _mean_face_area(protocol, tested)
    tables[6] = replicated_table(6, tested_runs(tested.tested, tested.truth), nothing)
    return tables


def _mean_face_area(protocol: Protocol, tested: TestResult) -> float:
    """The operating curve's area, as the paper takes it, of the training mean face on the test faces."""
    faces, train = protocol.first.faces, protocol.first.split.train
    nothing = baseline_predictions(Truth(faces.gender[train], faces.landmarks[train]), len(tested.truth.gender))
    assert nothing.landmarks is not None
    return operating_area99(distance_pct(nothing.landmarks, tested.truth.landmarks))


def _conclusions(protocol: Protocol, results: Sequence[StepResult], tested: TestResult) -> list[Conclusion]:
    truth, seeds = protocol.validation(), protocol.plan.seeds
    of_tables = [table_conclusion(r.step.number, r.cells(), seeds, truth) for r in results]
    runs = {
        str(one.winner.architecture): dict(zip(one.winner.replicates, one.runs, strict=True)) for one in tested.tested
    }
    return [*of_tables, *model_conclusions(runs, tested.truth)]


def _figures(
    run: RunFolder, protocol: Protocol, results: Sequence[StepResult], tested: TestResult
) -> Mapping[Path, str]:
    folder = run.path / "figures"
    runs = {result.step.number: result.runs() for result in results}
    ours = write_paper_figures(folder, runs, protocol.first.baseline(), results[0].curves())
    return {**ours, **write_figures(folder, tested)}


def _chosen(results: Sequence[StepResult]) -> dict[int, dict[str, Any]]:
    settings = {result.step.number: result.winner.config.flat() for result in results}
    return {step.number: {key: settings[step.number][key] for key in step.space.parameters} for step in STEPS}


def _facts(run: RunFolder, search: Mapping[str, Any], protocol: Protocol, tested: TestResult) -> dict[str, Any]:
    """What the page says of the replication as a whole."""
    plan, split = protocol.plan, protocol.first.split
    config = tested.tested[-1].winner.config
    return {
        "name": run.path.name,
        "seeds": plan.seeds,
        "profile": str(plan.profile),
        "frozen_blocks": config.model.frozen_blocks,
        "head_width": config.model.head_width,
        "lr": f"{config.training.lr:g}",
        "own_choices": plan.follow is Follow.OWN,
        "faces": len(protocol.first.faces),
        "source": Path(plan.data).name,
        "train_faces": len(split.train),
        "validation_faces": len(split.validation),
        "test_faces": len(split.test),
        "weights": Path(search["weights"]).name,
        "precision": search["precision"],
        "device": search["device"],
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
