from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import UserError
from core.random_filters import CALIBRATED
from search_spaces.catalogue import SPACES
from search_spaces.parameter import Choice, Int
from search_spaces.space import Condition, Space
from tune.materials import SAME, Materials
from tune.plan import Plan, grid_options, plan_from_json
from tune.planning import check_loss
from tune.profile import Profile, settled_space
from tune.study import Sampler


def grid(name="paper_attention", **options):
    space = settled_space(SPACES[name], Profile.FAST, {})
    return Plan(space=space.to_json(), profile=Profile.FAST, **grid_options(space, options))


def test_a_grid_is_gone_through_whole_and_never_stopped_early():
    plan = grid(epochs=7, replicates=3)
    assert (plan.sampler, plan.trials, plan.cells(), plan.grace) == (Sampler.GRID, 15, 5, 7)


@pytest.mark.parametrize("option", [{"grace": 2}, {"reduction": 4.0}])
def test_a_grid_takes_no_option_of_early_stopping(option):
    with pytest.raises(UserError, match=f"--{next(iter(option))} .: no trial of a grid is stopped early"):
        grid(**option)


def test_cells_of_one_replicate_share_their_seed_with_its_retraining():
    plan = grid(replicates=2)
    first, second = [plan.trial_seed(n) for n in range(5)], [plan.trial_seed(n) for n in range(5, 10)]
    assert set(first) == {plan.replicate_seed(0)}
    assert set(second) == {plan.replicate_seed(1)}
    assert plan.replicate_seed(0) != plan.replicate_seed(1)


def test_trials_of_other_searches_have_seeds_of_their_own():
    plan = Plan(space=SPACES["gender"].to_json(), profile=Profile.FAST)
    assert len({plan.trial_seed(n) for n in range(16)} | {plan.replicate_seed(k) for k in range(3)}) == 19


def test_a_grid_plan_survives_json():
    plan = grid(replicates=2, rank_by="val_nme_pct", objective="val_loss")
    assert plan_from_json(plan.to_json(), "search.json") == plan


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: grid(trials=4), "this grid has 5 cells"),
        (lambda: grid("joint", sampler=Sampler.GRID), "a grid needs choices only"),
        (lambda: grid("paper_gender", rank_by="val_nme_pct"), "--rank-by val_nme_pct: the gender model"),
        (lambda: Plan(SPACES["gender"].to_json(), Profile.FAST, replicates=2), "--replicates is for grids"),
        (lambda: grid(warm_start=["first"]), "--warm-start: a grid visits every cell"),
        (lambda: grid(prior="paper"), "--prior: a grid visits every cell"),
    ],
)
def test_a_grid_that_cannot_be_is_a_clear_error(make, rule):
    with pytest.raises(UserError, match=rule):
        make()


def search_plan(space="multitask", **options):
    return Plan(SPACES[space].to_json(), Profile.FAST, **options)


def test_defaults_are_those_that_the_readme_tells():
    plan = search_plan()
    assert (plan.sampler, plan.trials, plan.epochs, plan.grace, plan.reduction) == ("random", 16, 10, 2, 3)
    assert (plan.retrain_epochs, plan.retrain_seeds, plan.top_k, plan.race_rounds) == (50, 3, 1, 3)


@pytest.mark.parametrize(("options", "folds"), [({}, 1), ({"race": 4}, 5), ({"race": 4, "folds": 3}, 3)])
def test_a_race_is_on_five_folds_or_on_those_of_the_trials(options, folds):
    assert search_plan(**options).all_folds() == folds


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: search_plan(objective="pareto", warm_start=["first"]), "--warm-start: what is known before is judged"),
        (lambda: search_plan(objective="pareto", prior="paper"), "--prior: what is known before is judged by one goal"),
        (lambda: search_plan("gender", objective="pareto"), "--objective pareto: no model in space gender has both"),
        (lambda: search_plan(objective="pareto", race=4), "--race 4: it finds the best by one metric"),
        (
            lambda: search_plan(objective="pareto", rank_by="val_nme_pct"),
            "--rank-by val_nme_pct: with --objective pareto",
        ),
        (
            lambda: check_loss(search_plan(objective="val_loss")),
            "--objective val_loss: has another unit in trials that differ in l",
        ),
        (
            lambda: check_loss(search_plan("attention", rank_by="val_loss")),
            "--rank-by val_loss: has another unit in trials that",
        ),
        (lambda: check_loss(search_plan("joint", objective="val_loss")), "in trials that differ in architecture"),
        (lambda: check_loss(grid("paper_multitask", objective="val_loss")), "in trials that differ in lambda1"),
        (lambda: grid(race=4), "--race 4: a grid's rows are not raced"),
        (lambda: grid(objective="pareto"), "--objective pareto: a grid's rows are ranked by one metric"),
        (lambda: search_plan("paper_gender", sampler=Sampler.RANDOM), "space paper_gender lists its cells; use grid"),
        (lambda: search_plan(reduction=1.0), "--reduction must be above 1, got 1.0"),
        (lambda: search_plan(time_budget=0.0), "--time-budget must be seconds above 0, got 0.0"),
    ],
)
def test_what_cannot_go_together_is_refused_with_its_reason(make, rule):
    with pytest.raises(UserError, match=rule):
        make()


@pytest.mark.parametrize(
    "make", [lambda: search_plan("gender", objective="val_loss"), lambda: grid("paper_attention", objective="val_loss")]
)
def test_the_loss_ranks_trials_that_train_on_the_same_one(make):
    check_loss(make())
    check_loss(make())
    assert make().ranking().name == "val_loss"


def test_a_search_that_ranked_by_another_unit_before_that_was_refused_can_still_be_read():
    plan = search_plan(objective="val_loss")
    assert plan_from_json(plan.to_json(), "search.json") == plan


@pytest.mark.parametrize("key", ["split_seed", "precision"])
def test_what_must_be_the_same_in_every_trial_cannot_vary(key):
    space = SPACES["gender"].to_json()
    values = [0, 1] if key == "split_seed" else ["fp32", "bf16"]
    space["parameters"][key] = {"kind": "choice", "values": values}
    space["fixed"].pop(key, None)
    with pytest.raises(UserError, match=f"{key} must be the same in every trial of a search"):
        Plan(space, Profile.FAST)


@pytest.mark.parametrize("key", SAME)
def test_a_run_is_not_gone_on_with_on_other_faces_another_split_other_weights_or_another_precision(key, monkeypatch):
    now = dict.fromkeys(SAME, "x")
    monkeypatch.setattr(Materials, "identity", lambda _: now)
    materials = object.__new__(Materials)
    materials.check_same(now | {"faces": 3}, "search.json")
    with pytest.raises(UserError, match=rf"^search.json: .*\({key} was {'y' * 16}, now it is x\)$"):
        materials.check_same(now | {key: "y" * 64}, "search.json")
    with pytest.raises(UserError, match=f"{key} was None"):
        materials.check_same({name: "x" for name in SAME if name != key}, "search.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trials", "16"),
        ("trials", 5.5),
        ("epochs", True),
        ("drawn_faces", "700"),
        ("data", 3),
        ("weights", None),
        ("seed", 10**5000),
        ("space", []),
        ("sampler", []),
        ("reduction", "3"),
        ("time_budget", "3"),
        ("warm_start", "first"),
        ("warm_start", [3]),
        ("prior", 3),
    ],
    ids=range(14),
)
def test_a_value_of_another_kind_in_a_plans_file_is_one_line_that_names_the_file(key, value):
    plan = Plan(SPACES["gender"].to_json(), Profile.FAST).to_json()
    with pytest.raises(UserError, match=r"^search\.json: ") as error:
        plan_from_json(plan | {key: value}, "search.json")
    assert len(str(error.value)) < 300


def test_a_plan_of_a_run_from_before_there_were_warm_starts_is_read():
    plan = Plan(SPACES["gender"].to_json(), Profile.FAST)
    written = {key: value for key, value in plan.to_json().items() if key not in ("warm_start", "prior")}
    assert plan_from_json(written, "search.json") == plan


def test_numbers_of_frozen_blocks_are_those_drawn_and_the_default_where_none_is():
    kinds, blocks = Choice(("gender", "landmarks")), Int(4, 5)
    drawn = Space("s", "", {"architecture": kinds, "frozen_blocks": blocks})
    assert Plan(drawn.to_json(), Profile.FAST).frozen_blocks() == (4, 5)
    depending = replace(drawn, conditions={"frozen_blocks": Condition("architecture", ("gender",))})
    assert Plan(depending.to_json(), Profile.FAST).frozen_blocks() == (0, 4, 5)


@pytest.mark.parametrize(
    ("profile", "source", "told"),
    [
        (Profile.PAPER, "vgg16.pth", ["note: vgg16.pth has convolutions alone, so heads of 4096 start at random too"]),
        (Profile.PAPER, CALIBRATED, []),  # of which it is known
        (Profile.FAST, "vgg16.pth", []),
    ],
)
def test_heads_that_start_at_random_for_want_of_imagenets_are_told(weights, monkeypatch, profile, source, told):
    made, said = object.__new__(Materials), []
    made.plan = Plan(settled_space(SPACES["gender"], profile, {}).to_json(), profile)
    made.faces = made.split = None
    monkeypatch.setattr("tune.materials.load_weights", lambda *_: replace(weights, source=source))
    assert not made._weights(Path(), said.append).with_head
    assert said == told
