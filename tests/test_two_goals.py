"""A search for two goals: what it refuses, what it learns from, what it retrains."""

import math

import pandas as pd
import pytest
from optuna.trial import TrialState
from test_plan import grid
from test_recorder import NoBoard

from core.errors import UserError
from core.objective import Objective
from core.pareto import front_rank
from core.patience import HASTE
from core.run_folder import RunFolder
from search_spaces.catalogue import SPACES
from tune.front import front_candidates, front_sentences
from tune.ledger import Ledger, Status
from tune.plan import Plan, plan_from_json
from tune.profile import Profile, settled_space
from tune.recorder import Recorder
from tune.search import restored_ledger
from tune.study import Sampler, Study
from tune.two_goals import two_goal_options
from tune.verdict import verdict
from tune.winners import FRONT_CHANCE, winners_table

AIM = Objective("relative_error")
NOTHING = (math.log(2), 40.0)


def pareto(space="multitask", **options):
    settled = settled_space(SPACES[space], Profile.FAST, {})
    return Plan(space=settled.to_json(), profile=Profile.FAST, objective="pareto", **options)


def epoch(number, ce, nme):
    """Shares of what knowing nothing scores."""
    shares = [share for share in (ce, nme) if share is not None]
    row = {"epoch": number, "train_loss": 1.0, "relative_error": sum(shares) / len(shares), "seconds_per_epoch": 0.1}
    row |= {} if ce is None else {"val_gender_ce": ce * NOTHING[0]}
    return row | ({} if nme is None else {"val_nme_pct": nme * NOTHING[1]})


def ledger_of(folder, points):
    """Trials of (kind, share of gender, share of landmarks), each with a worse epoch before."""
    ledger = Ledger(folder / "trials.csv", folder / "curves.csv", AIM, fronts=True)
    for number, (kind, ce, nme) in enumerate(points):
        entry = ledger.add(number, {"architecture": kind})
        entry.curve = [epoch(1, *(share and share + 1 for share in (ce, nme))), epoch(2, ce, nme)]
        entry.status = Status.FINISHED
    return ledger


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: pareto("gender"), "--objective pareto: no model in space gender has both tasks"),
        (lambda: pareto("landmarks"), "--objective pareto: no model in space landmarks has both tasks"),
        (lambda: pareto(race=4), "--race 4: it finds the best by one metric"),
        (lambda: pareto(rank_by="val_nme_pct"), "--rank-by val_nme_pct: with --objective pareto winners are chosen"),
        (lambda: grid("paper_multitask", objective="pareto"), "--objective pareto: a grid's rows are ranked by one"),
        (lambda: Plan(SPACES["multitask"].to_json(), Profile.FAST, rank_by="pareto"), "--rank-by must be one of"),
        (lambda: Plan(SPACES["multitask"].to_json(), Profile.FAST, objective="front"), "relative_error.*, pareto, got"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_with_two_goals_is_one_clear_line(make, rule):
    with pytest.raises(UserError, match=rule) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("space", "sampler"),
    [("multitask", "random"), ("attention", "tpe"), ("multitask", "tpe"), ("joint", "random"), ("joint", "tpe")],
)
def test_a_plan_for_two_goals_survives_json_and_chooses_epochs_by_relative_error(space, sampler):
    plan = pareto(space, sampler=Sampler(sampler), folds=3)
    assert plan_from_json(plan.to_json(), "search.json") == plan
    assert plan.aim().name == plan.ranking().name == "relative_error"


def test_three_of_a_front_are_retrained_unless_somebody_says_otherwise():
    assert two_goal_options({"trials": 4}) == {"trials": 4, "top_k": 3}
    assert two_goal_options({"top_k": 1}) == {"top_k": 1}


def test_trials_csv_says_on_which_front_of_its_kind_each_trial_is(tmp_path):
    points = [
        ("multitask", 0.2, 0.8), ("multitask", 0.5, 0.5), ("multitask", 0.6, 0.5), ("multitask", 0.7, 0.6),
        ("attention", 0.9, 0.9), ("gender", 0.1, None), ("gender", 0.2, None), ("multitask", 0.1, 0.1),
    ]  # fmt: skip
    ledger = ledger_of(tmp_path, points)
    ledger.entries[7].status = Status.FAILED
    ledger.add(8, {"architecture": "multitask"})
    ledger.write(now=True)
    table = pd.read_csv(ledger.trials_path)
    assert table["front_rank"].tolist()[:7] == [1, 1, 2, 3, 1, 1, 2]
    assert table["front_rank"].tolist()[7:] == pytest.approx([math.nan] * 2, nan_ok=True)
    assert set(table["best_epoch"].dropna()) == {2}


def test_a_search_for_one_goal_has_no_such_column(tmp_path):
    ledger = ledger_of(tmp_path, [("multitask", 0.2, 0.8)])
    ledger.fronts = False
    assert "front_rank" not in ledger.table()


def test_the_compromise_is_retrained_and_then_what_adds_most_hypervolume(tmp_path):
    points = [
        ("multitask", 0.1, 0.9), ("multitask", 0.45, 0.45), ("multitask", 0.9, 0.2), ("multitask", 0.44, 0.48),
        ("multitask", 0.05, 1.3), ("multitask", 0.5, 0.5), ("gender", 0.5, None), ("gender", 0.4, None),
    ]  # fmt: skip
    ledger = ledger_of(tmp_path, points)
    chosen = front_candidates(ledger, pareto("joint", top_k=3), NOTHING)
    # Beyond 0.45 in both, (0.9, 0.2) adds 0.1 x 0.25 and (0.1, 0.9) adds 0.35 x 0.1.
    assert [(one.label, one.trial) for one in chosen] == [
        ("gender", 7), ("multitask", 1), ("multitask-2", 0), ("multitask-3", 2),
    ]  # fmt: skip
    everything = front_candidates(ledger, pareto("joint", top_k=9), NOTHING)
    assert [one.trial for one in everything] == [7, 1, 0, 2, 3, 4]  # 5 is behind 1, and 4 is of no use in a goal


def test_trials_for_two_goals_are_told_to_tpe_complete_and_the_journal_remembers_how_they_ended(tmp_path):
    space = SPACES["multitask"]
    study = Study(tmp_path / "journal", space, Sampler.TPE, 0, two_goals=True)
    recorder = Recorder(Ledger(tmp_path / "t.csv", tmp_path / "c.csv", AIM, fronts=True), study, NoBoard(), 2)
    asked = []
    for number, status in enumerate([Status.FINISHED, Status.STOPPED, Status.FAILED] * 6):
        drawn, parameters = study.ask()
        assert drawn == number
        asked.append(parameters)
        entry = recorder.ledger.add(number, parameters)
        entry.reason = "why" if status is Status.FAILED else ""
        recorder.ledger.record(number, epoch(1, 0.1 * number, 1.0))
        recorder.end(entry, status)
    study.ask()
    again = Study(tmp_path / "journal", space, Sampler.TPE, 0, two_goals=True)
    assert [again.known()[number] for number in range(18)] == asked
    assert again.ended()[0] == ("finished", "")
    assert again.ended()[1] == ("stopped", "")
    assert again.ended()[2] == ("failed", "why")
    states = [trial.state for trial in again.study.get_trials()[:3]]
    assert states == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL]
    assert again.study.get_trials()[4].values == pytest.approx([0.4 * NOTHING[0], NOTHING[1]])
    assert all(value in space.parameters[key] for key, value in again.ask()[1].items())


def test_a_journal_for_another_number_of_goals_is_refused(tmp_path):
    Study(tmp_path / "journal", SPACES["multitask"], Sampler.TPE, 0)
    with pytest.raises(UserError, match=r"not the journal of this search \(it has another number of goals\)"):
        Study(tmp_path / "journal", SPACES["multitask"], Sampler.TPE, 0, two_goals=True)


def test_a_resumed_search_knows_the_fronts_that_its_files_hold(tmp_path):
    run, study = RunFolder(tmp_path), Study(tmp_path / "optuna.journal", SPACES["multitask"], Sampler.RANDOM, 0)
    recorder = Recorder(restored_ledger(run, study, AIM, HASTE, fronts=True), study, NoBoard(), 1)
    points = [(0.2, 0.8), (0.5, 0.5), (0.6, 0.5), (0.7, 0.6)]
    for number, point in enumerate(points):
        entry = recorder.ledger.add(number, study.ask()[1])
        recorder.ledger.record(number, epoch(1, *point))
        recorder.end(entry, Status.FINISHED)
    again = Study(tmp_path / "optuna.journal", SPACES["multitask"], Sampler.RANDOM, 0)
    found = restored_ledger(run, again, AIM, HASTE, fronts=True)
    assert found.front_ranks() == dict(enumerate(front_rank(points).tolist()))
    assert found.table()["front_rank"].tolist() == [1, 1, 2, 3]


def test_the_end_says_how_large_each_front_is_and_how_sure_its_winners_are(tmp_path):
    ledger = ledger_of(tmp_path, [("multitask", 0.2, 0.9), ("multitask", 0.5, 0.5), ("multitask", 0.6, 0.6)])
    plan = pareto("joint", top_k=2)
    chosen = front_candidates(ledger, plan, NOTHING)
    best = {one.label: [ledger.entries[one.trial].best(AIM)] * 2 for one in chosen}
    winners = winners_table(chosen, best, AIM, {"nme_pct": 40.0}, {"multitask": 1.0}, FRONT_CHANCE)
    assert "probability_best" not in winners
    assert front_sentences(ledger, plan, winners) == [
        "front of multitask: 2 of 3 trials; retrained, by gender: multitask-2 (cross-entropy 0.139, NME 36.00 %); "
        "multitask (cross-entropy 0.347, NME 20.00 %, on the front of them with probability 1.00)"
    ]
    assert verdict(winners, plan, 45, 3) == []
