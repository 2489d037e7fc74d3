import shutil
from dataclasses import replace

import pytest
from earlier_run import IDENTITY, plan_of, write_earlier, write_winner_rows

from core.errors import UserError
from core.storage import Storage
from search_spaces.parameter import Choice
from search_spaces.parts import with_parts
from tune.head_start import Earlier
from tune.knowledge import Knowledge
from tune.profile import Profile

ADAM = {"architecture": "gender", "optimizer": "adam", "lr": 1e-4}
MULTI = {
    "architecture": "multitask",
    "optimizer": "adam",
    "lr": 1e-4,
    "landmark_loss": "l1",
    "lambda1": 2.0,
    "lambda2": 5.0,
}
TRIALS = [
    (ADAM, [0.9, 0.5], "stopped"),
    (ADAM | {"lr": 2e-4}, [0.4] * 10, "finished"),
    (MULTI, [0.8], "stopped"),
    (MULTI | {"lr": 3e-4}, [0.7], "stopped"),
    (ADAM, [0.1], "failed"),
]


@pytest.fixture
def known(tmp_path):
    """Writes a run, begins a search with it; its head start and what is said."""

    def begin(plan, earlier=None, trials=TRIALS, prior=None, identity=IDENTITY, **record):
        write_earlier(tmp_path / "runs" / "first", earlier or plan_of(), trials, **record)
        if prior == "first":
            write_winner_rows(tmp_path / "runs" / "first", [ADAM, MULTI])
        said = []
        found = Knowledge(["first"] * (prior is None), prior, Storage(str(tmp_path / "runs"), tmp_path / "cache"))
        found.fit(plan, said.append)
        return found.head_start(identity, said.append), said

    return begin


def test_the_best_of_each_kind_leads_and_all_trials_teach(known):
    found, said = known(plan_of())
    assert found.leaders == [ADAM | {"lr": 2e-4}, MULTI | {"lr": 3e-4}]
    assert found.earlier == [Earlier(p, errors, status) for p, errors, status in TRIALS[:4]]
    assert said == ["warm start from first: 4 of 5 trials are used, 1 left out; the first 2 new ones are their leaders"]


@pytest.mark.parametrize(("other", "same"), [({"grace": 3}, False), ({"reduction": 2.0}, False), ({"grace": 10}, True)])
def test_trials_that_were_stopped_by_other_rules_teach_but_fill_no_rungs(known, other, same):
    found, said = known(plan_of(), replace(plan_of(), **other))
    assert len(found.leaders) == 2
    assert [one.same_rungs for one in found.earlier] == [same] * 4
    assert len(found.past(plan_of().aim())) == 4 * same
    assert said[0].endswith("; 4 do not count for early stopping (they were stopped by other rules)") != same


def test_no_more_leaders_than_trials(known):
    assert known(plan_of(trials=1))[0].leaders == [ADAM | {"lr": 2e-4}]


def test_a_trial_outside_the_new_space_is_left_out(known):
    found, _ = known(plan_of("multitask", settings={"lambda1": 2.0}))
    assert found.leaders == [
        {key: value for key, value in (MULTI | {"lr": 3e-4}).items() if key not in ("architecture", "lambda1")}
    ]
    assert len(found.earlier) == 2


@pytest.mark.parametrize(
    "settings", [{"lambda1": 3.0, "frozen_blocks": 4}, {"batch_size": 32}, {"optimizer": "adagrad"}]
)
def test_trials_with_other_fixed_settings_are_of_no_use(known, settings):
    with pytest.raises(UserError, match="--warm-start first: no trial fits space multitask and its settings"):
        known(plan_of("multitask", settings=settings))


def test_a_setting_that_does_nothing_in_a_trial_does_not_keep_it_out(known):
    found, _ = known(plan_of("gender", settings={"d_k": 64, "lambda1": 3.0}))
    assert len(found.earlier) == 2


def test_lambdas_do_nothing_where_no_trained_weight_is_shared(known):
    found, _ = known(plan_of("multitask", settings={"lambda1": 3.0, "frozen_blocks": 5}))
    assert len(found.earlier) == 2


@pytest.mark.parametrize("mirrored", [True, False])
def test_leaders_lead_also_where_one_of_two_searches_mirrors_faces_of_its_own_accord(known, mirrored):
    found, said = known(plan_of("gender", settings={"flip": mirrored}), plan_of(settings={"flip": not mirrored}))
    assert len(found.leaders) == 1
    assert not found.earlier
    assert said[-1].endswith("scores of 2 are not comparable (other flip)")


def test_a_setting_that_the_earlier_search_had_fixed_may_vary_now(known):
    trials = [({"optimizer": "adam"}, [0.5], "stopped")]
    found, _ = known(plan_of("gender"), plan_of("gender", settings={"lr": 5e-4}), trials)
    assert found.leaders == [{"optimizer": "adam", "lr": 5e-4}]


def test_a_trial_that_two_runs_of_one_seed_drew_teaches_once_and_as_long_as_it_was_trained(tmp_path):
    first, second = [(ADAM, [0.9, 0.5], "stopped")], [(ADAM, [0.9, 0.5, 0.4], "stopped"), (ADAM, [0.8], "stopped")]
    for name, trials in (("first", first), ("second", second)):
        write_earlier(tmp_path / "runs" / name, plan_of(), trials)
    known = Knowledge(["first", "second"], None, Storage(str(tmp_path / "runs"), tmp_path / "cache"))
    said = []
    known.fit(plan_of(), said.append)
    found = known.head_start(IDENTITY, said.append)
    assert [one.costs for one in found.earlier] == [[0.9, 0.5, 0.4], [0.8]]
    assert "2 of 3 trials are used, 1 left out" in said[-1]


@pytest.mark.parametrize(("earlier", "used"), [({"lambda1": 0.0}, 0), ({"lambda1": 3.0}, 1)])
def test_a_run_that_never_learned_a_task_teaches_nothing_to_one_that_does(known, earlier, used):
    trial = [({"optimizer": "adam", "lr": 1e-4, "landmark_loss": "l1", "lambda2": 2.0}, [0.5], "stopped")]
    new = plan_of("multitask", settings={"frozen_blocks": 5, "lambda1": 1.0, "lambda2": 2.0})
    old = plan_of("multitask", settings={"frozen_blocks": 5, **earlier})
    if not used:
        with pytest.raises(UserError, match="no trial fits"):
            known(new, old, trial)
        return
    assert len(known(new, old, trial)[0].earlier) == used


def test_trials_that_were_stopped_by_another_objective_fill_no_rungs(known):
    trial = {key: value for key, value in MULTI.items() if key != "architecture"}
    old = plan_of("multitask", objective="val_nme_pct")
    assert [one.same_rungs for one in known(plan_of("multitask"), old, [(trial, [8.0], "stopped")])[0].earlier] == [
        False
    ]


def test_a_choice_that_has_the_0_itself_keeps_it(known):
    space = plan_of("attention").search_space()
    space = replace(space, parameters={**space.parameters, "d_v": Choice((0, 64))})
    trial = {key: value for key, value in MULTI.items() if key != "architecture"} | {"d_k": 128, "d_v": 0}
    plan = replace(plan_of("attention"), space=space.to_json())
    assert known(plan, plan, [(trial, [0.5], "stopped")])[0].leaders == [trial]


def test_where_the_landmarks_rate_varies_earlier_trials_have_their_common_one(known):
    trials = [(MULTI, [0.5], "stopped"), (ADAM, [0.5], "stopped")]
    space = with_parts(plan_of().search_space(), ["lr_landmarks"])
    found, said = known(replace(plan_of(), space=space.to_json()), plan_of(), trials)
    assert [one.parameters for one in found.earlier] == [MULTI | {"lr_landmarks": 1e-4}, ADAM]
    assert "not comparable" not in said[0]


@pytest.mark.parametrize(
    ("options", "record", "reason"),
    [
        ({}, {"data_fingerprint": "others", "split_fingerprint": "others"}, "faces, split"),
        ({}, {"weights_sha256": "others"}, "weights"),
        ({"profile": Profile.PAPER}, {}, "frozen_blocks, head_width, landmark_start"),
        ({"folds": 5}, {}, "folds"),
    ],
)
def test_scores_of_other_conditions_teach_nothing_but_their_leaders_lead(known, options, record, reason):
    found, said = known(plan_of(), plan_of(**options), **record)
    assert found.earlier == []
    assert len(found.leaders) == 2
    assert said[0].endswith(f"; scores of 4 are not comparable (other {reason})")


@pytest.mark.parametrize(("objective", "fits"), [("relative_error", True), ("val_loss", False)])
def test_lambdas_under_uncertainty_are_another_trial_only_where_the_told_loss_counts(known, objective, fits):
    settings = {"loss_weighting": "uncertainty"}
    trials = [({"optimizer": "adam", "lr": 1e-4, "landmark_loss": "l1"}, [0.5], "stopped")]
    plans = [plan_of("multitask", settings=settings | {"lambda2": one}, objective=objective) for one in (5.0, 20.0)]
    if fits:
        assert len(known(plans[0], plans[1], trials)[0].earlier) == 1
    else:
        with pytest.raises(UserError, match="no trial fits"):
            known(plans[0], plans[1], trials)


def test_a_rate_that_falls_over_other_epochs_is_another_training(known):
    settings = {"lr_schedule": "cosine"}
    found, said = known(plan_of(settings=settings), plan_of(settings=settings, epochs=20))
    assert found.earlier == []
    assert "(other epochs)" in said[0]


def test_epochs_beyond_those_of_a_new_trial_do_not_count(known):
    found, _ = known(plan_of(epochs=2), trials=[(ADAM, [0.9, 0.8, 0.1], "finished"), (MULTI, [0.7], "finished")])
    assert [(one.costs, one.status) for one in found.earlier] == [([0.9, 0.8], "finished"), ([0.7], "stopped")]


@pytest.mark.parametrize("prior", [None, "first"])
def test_another_split_of_the_same_faces_is_refused_as_it_has_seen_our_test_faces(known, prior):
    with pytest.raises(UserError, match="it has seen faces of this search's test split"):
        known(plan_of(), prior=prior, split_fingerprint="another")


def test_a_prior_of_winners_is_for_each_kind_that_the_space_has(known):
    found, said = known(plan_of("gender"), prior="first")
    assert found.prior == {"gender": {"optimizer": "adam", "lr": 1e-4}}
    assert found.leaders == found.earlier == []
    assert said == [
        "prior first: values for gender; left out: frozen_blocks 0 is fixed at 5; head_width 4096 is fixed at 512"
    ]


def test_the_papers_prior_needs_no_run(known):
    found, said = known(plan_of("attention"), prior="paper")
    assert found.prior["attention"] == {
        "optimizer": "adamax",
        "lr": 1e-3,
        "landmark_loss": "l1",
        "lambda1": 1.0,
        "lambda2": 20.0,
        "d_k": 512,
    }
    assert said == ["prior paper: values for attention"]


def test_a_prior_of_which_nothing_is_in_the_space_is_refused(known):
    plan = plan_of("gender", settings={"optimizer": "adam"})
    plan.space["parameters"]["lr"]["high"] = 5e-4
    with pytest.raises(UserError, match="--prior paper: none of its values are in space gender"):
        known(plan, prior="paper")


def knowledge(tmp_path, *words, prior=None):
    return Knowledge(list(words), prior, Storage(str(tmp_path / "runs"), tmp_path / "cache"))


def test_a_search_that_learns_takes_a_seed_that_no_run_has_which_it_learns_from(tmp_path):
    write_earlier(tmp_path / "runs" / "first", plan_of(), TRIALS)
    write_earlier(tmp_path / "runs" / "second", replace(plan_of(), seed=1), TRIALS)
    said = []
    known = knowledge(tmp_path, "first", "second")
    seeds = [known.fresh_seed(None, said.append)["seed"]]
    assert known.fresh_seed(None, said.append) == {"seed": seeds[0]}  # the same command, the same search
    assert said == [f"seed {seeds[0]}, as the runs that it learns from had others"] * 2
    assert known.fresh_seed(7, said.append) == {}
    with pytest.raises(
        UserError, match="--seed 1: --warm-start second has it too, and its trials would be drawn again"
    ):
        known.fresh_seed(1, said.append)
    assert knowledge(tmp_path, prior="paper").fresh_seed(None, said.append) == {}
    # Each of a chain learns from the one before alone, and none may draw what any before it has drawn.
    for _ in range(20):
        seeds += knowledge(tmp_path, "second").fresh_seed(None, said.append).values()
        shutil.rmtree(tmp_path / "runs" / "second")
        write_earlier(tmp_path / "runs" / "second", replace(plan_of(), seed=seeds[-1]), TRIALS)
    assert len({0, 1, *seeds}) == 23


def test_a_run_that_is_named_twice_counts_once(tmp_path):
    write_earlier(tmp_path / "runs" / "first", plan_of(), TRIALS)
    known = knowledge(tmp_path, "first", str(tmp_path / "runs" / "first"), "first")
    assert len(known.runs) == 1


def test_a_leader_is_one_whose_score_is_of_our_faces_though_other_faces_gave_a_better_one(tmp_path):
    write_earlier(tmp_path / "runs/first", plan_of(), [(ADAM, [0.5], "stopped")])
    elsewhere = {"data_fingerprint": "other faces", "split_fingerprint": "other split"}
    write_earlier(tmp_path / "runs/second", plan_of(seed=1), [(ADAM | {"lr": 3e-4}, [0.1], "stopped")], **elsewhere)
    known = Knowledge(["first", "second"], None, Storage(str(tmp_path / "runs"), tmp_path / "cache"))
    known.fit(plan_of(seed=2), str)
    assert known.head_start(IDENTITY, str).leaders[0] == ADAM


def test_a_name_that_is_no_run_is_told_with_the_folder_of_runs(tmp_path):
    with pytest.raises(UserError, match=r"firts: no run of this name in .*runs, and no such folder"):
        knowledge(tmp_path, "firts")


def test_scores_of_faces_that_were_changed_anew_are_not_those_of_kept_views(known, tmp_path):
    strong = {"augmentation": 0.5}
    plan = plan_of(settings=strong)
    found, said = known(plan, earlier=plan_of(settings={**strong, "activation_cache": False}))
    assert found.leaders
    assert not found.earlier
    assert said[-1].endswith("scores of 4 are not comparable (other activation_cache)")
    shutil.rmtree(tmp_path / "runs")
    mirrored, _ = known(
        plan_of(settings={"flip": True}), earlier=plan_of(settings={"flip": True, "activation_cache": False})
    )
    assert len(mirrored.earlier) == 4
