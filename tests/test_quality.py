import math

import numpy as np
import pytest

from benchmarks.quality import PAPER, at_seconds, draw, first_at_most, middle, scores, settings_row, shown
from benchmarks.replay import KINDS, Epoch
from tune.plan import Plan
from tune.study import Sampler


def falling(seconds, epochs, floor):
    """A search whose every model gets an error of 1 - epoch / 100, down to ``floor``, four epochs a step."""
    return [Epoch(seconds * (i + 1), KINDS[i % 4], max(floor, 1 - (i // 4 + 1) / 100)) for i in range(epochs)]


def test_a_better_search_reaches_the_papers_error_when_its_curve_passes_it():
    paper = [falling(1.0, 190, 0.8)] * 5
    told = scores([falling(1.0, 340, 0.4)] * 5, paper)
    assert told["error_170_epochs"] == 0.575  # 42 steps by all four, a 43rd by two of them
    assert told["epochs_to_papers_error"] == 80
    assert told["lower_than_papers_pct"] == pytest.approx(100 * (1 - 0.575 / 0.8), abs=0.5)


def test_a_search_that_never_gets_there_says_so():
    told = scores([falling(1.0, 340, 0.9)] * 3, [falling(1.0, 190, 0.8)] * 3)
    assert told["epochs_to_papers_error"] == math.inf
    assert shown({"strategy": "x", **told})["epochs_to_papers_error"] == "not reached"
    assert shown({"strategy": PAPER, **told})["epochs_to_papers_error"] is None  # against itself it says nothing
    assert told["lower_than_papers_pct"] == pytest.approx(-12.5)


def test_a_slower_search_has_less_to_show_in_the_papers_time():
    paper = [falling(1.0, 190, 0.0)]
    slow, fast = (scores([falling(pace, 340, 0.0)], paper)["error_in_papers_time"] for pace in (2.0, 0.5))
    assert slow > fast


def test_the_first_epoch_at_most_a_goal():
    best = np.array([0.9, 0.7, 0.7, 0.5])
    assert [first_at_most(best, goal) for goal in (0.95, 0.7, 0.5, 0.4)] == [1, 2, 4, math.inf]


def test_before_the_first_epoch_nothing_is_known():
    search = [Epoch(2.0, kind, 0.5) for kind in KINDS]
    assert at_seconds(search, 1.9) == 1.0
    assert at_seconds(search, 2.0) == 0.5


def test_the_middle_is_the_median_and_the_middle_half():
    found = middle("seeds", [1, 2, 3, 4, 5])
    assert found == {"seeds": 3, "seeds_q25": 2, "seeds_q75": 4}
    assert shown({**found, "epochs_to_papers_error": 1.0})["seeds"] == "3.000 (2.000 to 4.000)"


def test_the_default_is_told_apart_from_other_settings():
    searches = [falling(1.0, 340, 0.5), falling(1.0, 340, 0.6)]
    assert settings_row(Plan.sampler, Plan.epochs, Plan.grace, Plan.reduction, searches)["is_default"]
    other = settings_row(Sampler.TPE, Plan.epochs, Plan.epochs, 2.0, searches)
    assert not other["is_default"]
    assert other["grace"] == "all"


def test_the_figure_is_drawn_whole(tmp_path):
    names = [PAPER, "a", "b", "c", "d", "e", "f"]
    draw({name: [falling(1.0, 40, 0.1 * i)] * 2 for i, name in enumerate(names)}, tmp_path / "new" / "q.png")
    assert (tmp_path / "new" / "q.png").stat().st_size > 10_000
