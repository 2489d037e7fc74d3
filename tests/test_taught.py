import math

import optuna

from search_spaces.catalogue import SPACES
from search_spaces.parameter import Float
from tune.head_start import Earlier, HeadStart
from tune.study import Sampler, Study

JOINT = SPACES["joint"]


def earlier(kind, lr, cost):
    rest = {} if kind == "gender" else {"landmark_loss": "l1"}
    return Earlier({"architecture": kind, "optimizer": "adam", "lr": lr, **rest}, [cost], "finished")


def lessons(count=24):
    """The gender model is easier whatever its rate; the best rate of each is at another end."""
    rates = [10 ** (-5 + 2 * (i + 0.5) / count) for i in range(count)]
    gender = [earlier("gender", lr, 0.1 + 0.01 * i) for i, lr in enumerate(rates)]
    return gender + [earlier("landmarks", lr, 0.9 - 0.01 * i) for i, lr in enumerate(rates)]


def test_kinds_are_drawn_evenly_and_each_learns_from_its_own(tmp_path):
    study = Study(tmp_path / "j", JOINT, Sampler.TPE, 0, head_start=HeadStart(earlier=lessons()))
    drawn = [study.ask()[1] for _ in range(60)]
    assert all(value in JOINT.parameters[key] for one in drawn for key, value in one.items())
    assert all(set(one) == {key for key in JOINT.parameters if JOINT.is_active(key, one)} for one in drawn)
    kinds = [one["architecture"] for one in drawn]
    assert all(kinds.count(kind) >= 6 for kind in JOINT.parameters["architecture"].values)
    lows = {kind: [one["lr"] < 1e-4 for one in drawn if one["architecture"] == kind] for kind in kinds}
    assert sum(lows["gender"]) > 0.75 * len(lows["gender"])
    assert sum(lows["landmarks"]) < 0.25 * len(lows["landmarks"])


def test_trials_of_elsewhere_stay_as_they_are(tmp_path):
    study = Study(tmp_path / "j", JOINT, Sampler.TPE, 0, head_start=HeadStart(earlier=lessons()))
    for index in range(6):
        number, parameters = study.ask()
        study.tell(number, "finished", 0.1 * index, 2, "")
        assert study.known()[number] == parameters  # the kind was left out of a copy
    assert isinstance(JOINT.parameters["lr"], Float)
    assert all(trial.state is optuna.trial.TrialState.COMPLETE for trial in study.study.get_trials())


def test_with_two_goals_a_model_of_one_task_learns_from_that_task_s_cost(tmp_path):
    """A gender model is the better the lower its rate, a landmark model the better the higher; that its other cost is
    always 0, the least there is, teaches it nothing."""
    study = Study(tmp_path / "j", JOINT, Sampler.TPE, 0, two_goals=True)
    rates = {"gender": [], "landmarks": []}
    for _ in range(200):
        number, drawn = study.ask()
        decades = math.log10(drawn["lr"])
        cost = {"gender": (10 + decades, 0.0), "landmarks": (0.0, -decades)}
        study.tell(number, "finished", cost.get(drawn["architecture"], (1.0, 1.0)), 2, "")
        rates.get(drawn["architecture"], []).append(decades)
    low, high = (math.log10(end) for end in (JOINT.parameters["lr"].low, JOINT.parameters["lr"].high))
    late = {
        kind: [(value - low) / (high - low) for value in values[len(values) // 2 :]] for kind, values in rates.items()
    }
    assert len(late["gender"]) >= 10 <= len(late["landmarks"])
    assert sum(late["gender"]) / len(late["gender"]) < 0.3
    assert sum(late["landmarks"]) / len(late["landmarks"]) > 0.7
