"""From four finished steps to the test, the tables, the conclusions and the report of a replication."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from core.atomic import write_text
from core.claims import model_conclusions, table_conclusion
from core.conclusions import Conclusion
from core.config import learns_apart
from core.curves import operating_area99
from core.device import make_repeatable
from core.final_test import TestResult, predictions_table, scored_test, scores_table
from core.gallery import write_figures
from core.kept_test import kept_run, kept_test
from core.metrics import distance_pct
from core.names import AREA99, Architecture, LossWeighting
from core.openings import opened_dates, opened_elsewhere, record_opening
from core.paper_figures import write_paper_figures
from core.paper_report import conclusions_table, paper_report_page
from core.patience import Patience
from core.preparation import told_source
from core.replication import replicated_table, tested_runs
from core.run_folder import RunFolder
from core.winner import check_weights, read_backbone
from tune.departures import differences, otherwise_chosen
from tune.paper_plan import STEPS, Follow
from tune.progress import Doing, Progress, say
from tune.protocol import Protocol, StepResult

OF_MODELS = 6
"""The table from which the paper compares its models."""


def report_replication(
    run: RunFolder, protocol: Protocol, results: Sequence[StepResult], cache: Path
) -> list[Conclusion]:
    """Test the four finals, once, and write everything that a reader wants; the conclusions."""
    search = run.read_search()
    truth, seeds = protocol.validation(), protocol.plan.seeds
    doing = Doing()
    with Progress(doing.line):
        doing("comparing what the tables compare")
        of_tables = [
            table_conclusion(result.step.number, result.cells(len(truth.gender)), seeds, truth, result.papers_loss())
            for result in results
        ]
        tested = _tested(run, search, protocol, results, cache, doing)
        doing("comparing the models")
        chosen = _chosen(results)
        conclusions = [_under(one, chosen, result.step.number) for one, result in zip(of_tables, results, strict=True)]
        conclusions += [_under(one, chosen, OF_MODELS) for one in _of_models(tested)]
        tables = _tables(protocol, results, tested)
        doing("drawing figures")
        figures = _figures(run, protocol, results, tested)
        doing.text = "tested, compared and drawn"
    for number, table in tables.items():
        write_text(run.path / f"table{number}.csv", table.to_csv(index=False))
    write_text(run.path / "conclusions.csv", conclusions_table(conclusions).to_csv(index=False))
    write_text(run.test / "scores.csv", scores_table(tested).to_csv(index=False))
    write_text(run.test / "predictions.csv", predictions_table(tested).to_csv(index=False))
    facts = _facts(run, search, protocol, results, tested)
    page = paper_report_page(facts, tables, chosen, conclusions, figures)
    write_text(run.path / "report.html", page)  # last: it says that all else is there
    return conclusions


def _tested(
    run: RunFolder,
    search: dict[str, Any],
    protocol: Protocol,
    results: Sequence[StepResult],
    cache: Path,
    doing: Doing,
) -> TestResult:
    """The test of the four finals: as an earlier process left it whole, or made now."""
    first, winners = protocol.first, [result.winner for result in results]
    Patience(say)(lambda: run.fetch(run.test.name), run.path)  # of which another machine may have kept the predictions
    kept = kept_test(run.test, winners, len(first.split.test))
    if kept is not None and len(kept) == len(winners):
        return scored_test(kept, first.faces, first.split, doing)
    backbone = read_backbone(results[0].run)
    make_repeatable(first.device)
    check_weights(winners, backbone, first.device, doing)
    say("testing the four models")
    for name, dates in opened_elsewhere(run, search).items():
        say(f"note: the same test faces have been opened by run {name} on {', '.join(dates)}")
    if kept is None:
        for date in record_opening(run):
            say(f"note: the test split of this run has been opened before: {date}")
    data, patience = (first.faces, first.split), Patience(say)
    return kept_run(run, kept, winners, backbone, data, first.device, cache, doing, patience)


def _tables(protocol: Protocol, results: Sequence[StepResult], tested: TestResult) -> dict[int, pd.DataFrame]:
    baseline = protocol.first.baseline()
    of_gender = baseline | {"loss": baseline["gender_ce"]}  # what model 1 trains on
    tables = {
        r.step.number: replicated_table(r.step.number, r.runs(), of_gender if r.step.number == 1 else baseline)
        for r in results
    }
    finals = pd.concat([result.final_runs() for result in results if result.step.retrained], ignore_index=True)
    tables[5] = replicated_table(5, finals, baseline)
    nothing = {name: value for name, (value, _, _) in tested.baseline.items()}
    mean_face = tested.knowing_nothing.landmarks
    assert mean_face is not None
    nothing[AREA99] = operating_area99(distance_pct(mean_face, tested.truth.landmarks))
    tables[6] = replicated_table(6, tested_runs(tested.tested, tested.truth), nothing)
    return tables


def _of_models(tested: TestResult) -> list[Conclusion]:
    runs = {
        str(one.winner.architecture): dict(zip(one.winner.replicates, one.runs, strict=True)) for one in tested.tested
    }
    apart = any(
        learns_apart(one.winner.config.flat()) and one.winner.config.training.loss_weighting is LossWeighting.FIXED
        for one in tested.tested
        if one.winner.architecture is Architecture.MULTITASK
    )
    return model_conclusions(runs, tested.truth, apart)


def _under(conclusion: Conclusion, chosen: Mapping[int, Mapping[str, Any]], table: int) -> Conclusion:
    """The same, which says where it is of other settings than the paper's because of what was chosen before."""
    others = otherwise_chosen(chosen, table)
    return replace(conclusion, measure=f"{conclusion.measure}; with {', '.join(others)}") if others else conclusion


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


def _facts(
    run: RunFolder, search: Mapping[str, Any], protocol: Protocol, results: Sequence[StepResult], tested: TestResult
) -> dict[str, Any]:
    """What the page says of the replication as a whole."""
    plan, first = protocol.plan, protocol.first
    return {
        "name": run.path.name,
        "seeds": plan.seeds,
        "profile": str(plan.profile),
        "differs": differences(plan, first.weights, len(first.faces)),
        "otherwise_chosen": otherwise_chosen(_chosen(results), OF_MODELS),
        "own_choices": plan.follow is Follow.OWN,
        "faces": len(first.faces),
        "source": told_source(search["plan"]),
        "persons_unknown": not first.faces.identity_known,
        "train_faces": len(first.split.train),
        "validation_faces": len(first.split.validation),
        "test_faces": len(first.split.test),
        "weights": Path(search.get("weights", "unknown")).name,
        "precision": search["precision"],
        "device": tested.device,
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "openings": opened_dates(run),
        "others": opened_elsewhere(run, dict(search)),
        "failures": [line for result in results for line in result.failures()],
    }
