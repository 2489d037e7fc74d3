from pathlib import Path

import pytest

from core.errors import UserError
from core.retraining import Objective
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
