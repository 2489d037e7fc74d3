"""What the winners' table decides, and in which words."""

from dataclasses import replace

import pytest

from core.names import Architecture
from core.objective import Objective
from search_spaces.catalogue import SPACES
from tune.plan import Plan
from tune.profile import Profile
from tune.verdict import verdict
from tune.winners import Candidate, winners_table


def table(chances, seeds=3):
    """winners.csv of these models and their chances."""
    candidates = [
        Candidate(label, Architecture(label.split("-")[0]), number, {"lr": 0.1}) for number, label in enumerate(chances)
    ]
    best = {label: [{"epoch": 1, "relative_error": 0.5, "val_nme_pct": 9.0}] * seeds for label in chances}
    known = {label: chance for label, chance in chances.items() if chance is not None}
    return winners_table(candidates, best, Objective("relative_error"), {"nme_pct": 40.0}, known)


PLAN = Plan(SPACES["joint"].to_json(), Profile.FAST)


@pytest.mark.parametrize(
    ("chances", "said"),
    [
        (
            {"multitask": 0.97, "attention": 0.03},
            [
                "retrained, gender and landmarks: multitask is better than the other with probability 0.97 "
                "(45 validation faces and 3 seeds)"
            ],
        ),
        (
            {"gender": 0.01, "gender-2": 0.02, "gender-3": 0.97},
            [
                "retrained, gender: gender-3 is better than the 2 others with probability 0.97 (45 validation faces and 3 seeds)"
            ],
        ),
        (
            {"multitask": 0.3, "multitask-2": 0.66, "multitask-3": 0.04},
            [
                "retrained, gender and landmarks: a tie; the best may be multitask-2 (0.66) and multitask (0.30) "
                "(45 validation faces and 3 seeds cannot tell)"
            ],
        ),
        (
            {"gender": None, "landmarks": None, "multitask": 0.5, "attention": 0.5},
            [
                "retrained, gender and landmarks: a tie; the best may be attention (0.50) and multitask (0.50) "
                "(45 validation faces and 3 seeds cannot tell)"
            ],
        ),
        (
            {"gender": 0.997, "gender-2": 0.003},
            [
                "retrained, gender: gender is better than the other with probability > 0.99 (45 validation faces and 3 seeds)"
            ],
        ),
    ],
)
def test_the_verdict_says_what_is_decided_and_what_is_a_tie(chances, said):
    assert verdict(table(chances), replace(PLAN, top_k=3), 45, {"gender": 12, "multitask": 12}) == said


@pytest.mark.parametrize(
    ("trials", "among"),
    [
        ({"multitask": 12}, "the winner was chosen among 12 trials"),
        ({"gender": 3, "multitask": 4}, "each winner was chosen among the trials of its kind (gender 3, multitask 4)"),
        ({"gender": 1, "multitask": 4}, "the winner was chosen among 4 trials"),
    ],
)
def test_leaders_that_nothing_was_compared_with_are_told_among_how_many_trials_they_were_chosen(trials, among):
    advice = "so another may be as good: a search with --race 4, or with --top-k 3, compares the leaders"
    found = verdict(table(dict.fromkeys(trials)), PLAN, 45, trials)
    assert found == [f"{among} by one training each, {advice}"]


def test_where_nothing_else_could_have_been_chosen_nothing_is_advised():
    lone, trials = table({"multitask": None}), {"multitask": 12}
    assert verdict(lone, PLAN, 45, {"multitask": 1}) == []
    assert verdict(lone, replace(PLAN, top_k=3), 45, trials) == []
    assert verdict(lone, replace(PLAN, race=3), 45, trials) == []


def test_one_seed_decides_nothing_however_large_its_lead():
    found = verdict(table({"multitask": 0.98, "multitask-2": 0.02}, seeds=1), replace(PLAN, top_k=2), 45, {})
    assert found == [
        "retrained, gender and landmarks: multitask looks best (0.98 over 45 validation faces); "
        "one seed cannot tell, as another may turn it"
    ]


def test_what_folds_or_a_race_decided_is_not_undone_by_one_validation_part():
    kinds = [Candidate(label, Architecture("multitask"), number, {}) for number, label in enumerate("ab")]
    best = {label: [{"epoch": 1, "relative_error": error}] for label, error in {"a": 0.5, "b": 0.4}.items()}
    for judged, order in ((False, ["b", "a"]), (True, ["a", "b"])):
        found = winners_table(kinds, best, Objective("relative_error"), {"nme_pct": 40.0}, {}, judged=judged)
        assert found["model"].tolist()[:2] == order


def test_the_chances_stand_in_the_winners_table_and_the_baseline_has_none():
    found = table({"multitask": 0.75, "multitask-2": 0.25, "gender": None}).set_index("model")["probability_best"]
    assert found["multitask"] == 0.75
    assert found["multitask-2"] == 0.25
    assert found[["gender", "mean face / prior"]].isna().all()


def test_a_candidate_of_which_a_retraining_failed_ranks_behind_those_of_which_none_did():
    def runs(*errors):
        return [{"epoch": 1, "relative_error": error, "val_nme_pct": 9.0} for error in errors]

    best = {
        "multitask": runs(0.30),
        "multitask-2": runs(0.45, 0.45),
        "multitask-3": runs(0.40, 0.50),
        "gender": runs(0.9),
    }
    kinds = [Candidate(label, Architecture(label.split("-")[0]), 0, {}) for label in best]
    found = winners_table(kinds, best, Objective("relative_error"), {"nme_pct": 40.0}, {}).set_index("model")
    assert dict(found["rank"].dropna()) == {"multitask-2": 1, "multitask-3": 2, "multitask": 3, "gender": 1}


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (replace(PLAN, top_k=3, objective="val_loss"), "a loss is known of all faces together only"),
        (replace(PLAN, top_k=3), "winners of which all seeds were retrained are too few"),
    ],
)
def test_of_winners_that_cannot_be_compared_it_is_said_and_why(plan, why):
    """One sentence for the models of the same tasks; of those without a rival there is nothing to say."""
    [said] = verdict(table({"gender": None, "gender-2": None, "landmarks": None}), plan, 45, {"gender": 12})
    assert said.startswith("retrained, gender: how sure it is which is the best cannot be told (")
    assert why in said
