import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_openings import SEARCH

from core.errors import UserError
from core.objective import Objective
from core.run_folder import RunFolder
from search_spaces.paper import PAPER_CHOICES
from tune.ledger import Ledger, Status
from tune.paper_plan import STEPS, Follow, PaperPlan
from tune.profile import Profile
from tune.protocol import Protocol

LOSSES = ("l1", "l2", "smooth_l1", "huber", "wing")
TABLE_2 = STEPS[1]


def ledger_of(tmp_path, nmes, failed=()):
    ledger = Ledger(tmp_path / "trials.csv", tmp_path / "curves.csv", Objective("val_loss"))
    for number, (loss, nme) in enumerate(zip(LOSSES, nmes, strict=True)):
        entry = ledger.add(number, {"landmark_loss": loss})
        entry.curve = [{"epoch": 1, "val_loss": 1.0 - 0.1 * number, "val_nme_pct": nme, "seconds_per_epoch": 1.0}]
        entry.status = Status.FAILED if loss in failed else Status.FINISHED
    return ledger


def chosen(follow, ledger):
    plan = PaperPlan(Profile.FAST, follow=follow, seeds=1)
    protocol = Protocol(plan, RunFolder(Path("runs/paper")), None, "", print)
    (candidate,) = protocol._candidates(TABLE_2, plan.step_plan(TABLE_2, PAPER_CHOICES), ledger)
    return candidate.config["landmark_loss"]


def test_losses_are_chosen_by_nme_though_another_has_the_smallest_loss(tmp_path):
    assert chosen(Follow.OWN, ledger_of(tmp_path, [9, 8, 5, 7, 6])) == "smooth_l1"


def test_following_the_paper_takes_its_choice_whatever_came_out(tmp_path):
    assert chosen(Follow.PAPER, ledger_of(tmp_path, [9, 8, 5, 7, 6])) == "l1"


def test_following_the_paper_where_its_choice_failed_is_a_clear_error(tmp_path):
    with pytest.raises(UserError, match="the paper's choice in table II"):
        chosen(Follow.PAPER, ledger_of(tmp_path, [9, 8, 5, 7, 6], failed=("l1",)))


class BegunError(Exception):
    """The step's search has begun."""


def begun(tmp_path, monkeypatch, recorded, places):
    """Table I of a replication of which ``recorded`` is the plan in its folder, gone on with at other ``places``."""
    plan = PaperPlan(Profile.FAST, seeds=1, data="faces", weights="vgg16.pth")
    step_plan = plan.step_plan(STEPS[0], {})
    root = RunFolder(tmp_path / "paper")
    step = root.step("table1")
    step.path.mkdir(parents=True)
    step.write_search(SEARCH | {"plan": {**step_plan.to_json(), **recorded}})

    def materials(given):
        assert given == step_plan
        return SimpleNamespace(
            places=lambda: places,
            settled_plan=lambda: {**given.to_json(), **places},
            check_same=lambda *_: None,
        )

    def search(*_):
        raise BegunError

    monkeypatch.setattr("tune.protocol.Search", search)
    protocol = Protocol(plan, root, SimpleNamespace(with_plan=materials), "", print)
    return step, lambda: protocol._step(STEPS[0], {})


HERE = {"data": "/here/faces", "weights": "/here/vgg16.pth"}


@pytest.mark.parametrize("places", [{"data": "faces", "weights": "vgg16.pth"}, HERE], ids=["same", "moved"])
def test_a_step_is_gone_on_with_where_only_faces_and_weights_lie_elsewhere_which_is_noted(
    tmp_path, monkeypatch, places
):
    step, go = begun(tmp_path, monkeypatch, {}, places)
    with pytest.raises(BegunError):
        go()
    plan = json.loads(step.search.read_text())["plan"]
    assert {key: plan[key] for key in HERE} == places


@pytest.mark.parametrize(
    "change", [{"epochs": 9}, {"seed": 1}, {"replicates": 2}, {"space": {"name": "other"}}], ids=str
)
def test_a_step_with_another_plan_than_the_steps_before_it_give_is_refused_and_left_alone(
    tmp_path, monkeypatch, change
):
    step, go = begun(tmp_path, monkeypatch, change, HERE)
    before = step.search.read_bytes()
    with pytest.raises(UserError, match=r"table1/search\.json: not the plan of this step after the steps before it"):
        go()
    assert step.search.read_bytes() == before
