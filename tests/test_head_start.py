import json
import math
from functools import partial

import pytest

from core.errors import UserError
from core.objective import Objective
from core.seeds import derived_seed
from search_spaces.catalogue import SPACES
from tune.head_start import LEADER, OF_PRIOR, Earlier, HeadStart, read_head_start
from tune.study import Sampler, Study

GENDER, JOINT = SPACES["gender"], SPACES["joint"]
CENTRE = {"gender": {"optimizer": "adam", "lr": 1e-4}}


def cost_of(parameters, best=1e-4):
    return abs(math.log10(parameters["lr"] / best))


def searched(study, count, cost=cost_of):
    """The trials that a study draws one after another, and what each was drawn from."""
    found = []
    for _ in range(count):
        number, parameters = study.ask()
        found.append(parameters)
        study.tell(number, "finished", cost(parameters), 2, "", [cost(parameters) + 1, cost(parameters)])
    origins = [trial.user_attrs.get("origin") for trial in study.study.get_trials()]
    return found, origins


def lessons(best, count=30):
    rates = [10 ** (-5 + 2 * (i + 0.5) / count) for i in range(count)]
    return [Earlier({"optimizer": "adam", "lr": lr}, [cost_of({"lr": lr}, best)], "finished") for lr in rates]


def test_leaders_come_first_as_they_were(tmp_path):
    leaders = [{"optimizer": "adagrad", "lr": 2e-4}, {"optimizer": "adam", "lr": 3e-4}]
    study = Study(tmp_path / "j", GENDER, Sampler.RANDOM, 0, head_start=HeadStart(leaders))
    found, origins = searched(study, 4)
    assert found[:2] == leaders
    assert origins == [LEADER, LEADER, None, None]
    cold = Study(tmp_path / "k", GENDER, Sampler.RANDOM, 0)
    assert found[2:] == searched(cold, 4)[0][2:]


def test_the_first_trial_after_earlier_leaders_is_the_first_that_a_prior_is_trusted_with(tmp_path):
    leaders = [{"optimizer": "adagrad", "lr": 2e-4}] * 20
    for seed in range(5):
        study = Study(tmp_path / str(seed), GENDER, Sampler.RANDOM, seed, head_start=HeadStart(leaders, prior=CENTRE))
        assert searched(study, 21)[1][-1] == OF_PRIOR  # trusted for sure; as trial 20 it would be with 1/6


@pytest.mark.parametrize("sampler", [Sampler.RANDOM, Sampler.TPE])
def test_a_right_prior_holds_and_a_wrong_one_is_forgotten_and_drawn_no_more(tmp_path, sampler):
    right = Study(tmp_path / "right", GENDER, sampler, 0, head_start=HeadStart(prior=CENTRE))
    # Under TPE the others become as good as the prior, and are then no worse: rounded, so that they are equal.
    _, origins = searched(right, 40, lambda p: cost_of(p) if sampler is Sampler.RANDOM else cost_of(p) // 0.25)
    assert right.judged().forgotten is None
    assert 5 <= origins.count(OF_PRIOR) < 20
    assert origins[:20].count(OF_PRIOR) > origins[20:].count(OF_PRIOR)
    wrong = Study(tmp_path / "wrong", GENDER, sampler, 0, head_start=HeadStart(prior=CENTRE))
    _, origins = searched(wrong, 40, lambda parameters: cost_of(parameters, 1e-5))
    forgotten = wrong.judged().forgotten
    assert forgotten is not None
    assert forgotten < 20
    assert OF_PRIOR not in origins[forgotten + 1 :]
    assert wrong.judged().told().startswith(f"the prior was forgotten after trial {forgotten}: ")


def test_trials_without_a_result_when_the_search_ended_say_nothing_of_the_prior(tmp_path):
    study = Study(tmp_path / "j", GENDER, Sampler.RANDOM, 0, head_start=HeadStart(prior=CENTRE))
    searched(study, 12)
    judge = study.judged()
    before = (judge.wins, judge.pairs)
    for _ in range(12):
        number, _ = study.ask()
        study.tell(number, "stopped", None, 0, "the time budget was used up", [])
    assert (judge.wins, judge.pairs) == before
    assert len(study.judged().heard) == 24
    assert (judge.wins, judge.pairs) == before
    for _ in range(12):
        number, _ = study.ask()
        study.tell(number, "failed", None, 0, "diverged", [])
    assert study.judged().pairs > before[1]


@pytest.mark.parametrize("sampler", [Sampler.RANDOM, Sampler.TPE])
def test_no_kind_of_model_gets_more_trials_for_having_a_prior(tmp_path, sampler):
    known = HeadStart(prior={"multitask": {"optimizer": "adam", "lr": 1e-4}})
    first = []
    for seed in range(200):  # the first trial is drawn around the prior wherever its kind has one
        study = Study(tmp_path / f"{sampler}-{seed}", JOINT, sampler, seed, head_start=known)
        number, parameters = study.ask()
        first.append(parameters["architecture"])
        origin = study.study.get_trials()[number].user_attrs.get("origin")
        assert (origin == OF_PRIOR) == (first[-1] == "multitask")
    # 50 of each, and six standard deviations of 6; drawn anew where a kind has none, there would be 88.
    assert all(14 <= first.count(kind) <= 86 for kind in JOINT.parameters["architecture"].values)
    assert first.count("multitask") <= 68  # three of them


@pytest.mark.parametrize("sampler", [Sampler.RANDOM, Sampler.TPE])
@pytest.mark.parametrize("best", [1e-4, 1e-5])
def test_a_reopened_study_goes_on_as_an_undisturbed_one(tmp_path, sampler, best):
    known = HeadStart([{"optimizer": "adagrad", "lr": 2e-4}], lessons(1e-4), CENTRE)

    def cost(parameters):
        return cost_of(parameters, best)

    undisturbed = searched(Study(tmp_path / "a", GENDER, sampler, 5, head_start=known), 18, cost)
    cut = [searched(Study(tmp_path / "b", GENDER, sampler, 5, head_start=known), 3, cost) for _ in range(6)]
    assert [parameters for found, _ in cut for parameters in found] == undisturbed[0]
    assert cut[-1][1] == undisturbed[1]


@pytest.mark.parametrize("drawn", range(3))
@pytest.mark.parametrize("sampler", [Sampler.RANDOM, Sampler.TPE])
def test_a_trial_cut_off_while_it_was_drawn_gets_what_it_would_have_got(tmp_path, monkeypatch, drawn, sampler):
    known = HeadStart([{"optimizer": "adagrad", "lr": 2e-4}], lessons(1e-4), CENTRE)
    expected, _ = searched(Study(tmp_path / "a", GENDER, sampler, 1, head_start=known), 6)
    for kept in range(6):  # a leader, trials around the prior, and trials of the sampler
        cut = Study(tmp_path / f"b{kept}", GENDER, sampler, 1, head_start=known)
        searched(cut, kept)
        ask = partial(torn, cut.study.ask, list(GENDER.parameters)[drawn:])
        with monkeypatch.context() as patch:
            patch.setattr(cut.study, "ask", ask)
            cut.ask()
        again = Study(tmp_path / f"b{kept}", GENDER, sampler, 1, head_start=known)
        assert again.known()[kept] == expected[kept]


def torn(ask, left):
    return Torn(ask(), left)


class Torn:
    """A trial of which nothing is written from some parameter on."""

    def __init__(self, trial, left):
        self.trial, self.left, self.number = trial, left, trial.number

    def set_user_attr(self, key, value):
        self.trial.set_user_attr(key, value)

    def suggest_categorical(self, key, values):
        return None if key in self.left else self.trial.suggest_categorical(key, values)

    def suggest_float(self, key, low, high, log):
        return None if key in self.left else self.trial.suggest_float(key, low, high, log=log)


def test_tpe_draws_as_if_the_earlier_trials_were_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("tune.study.derived_seed", lambda *_: 7)
    earlier = lessons(1e-4)
    taught = Study(tmp_path / "a", GENDER, Sampler.TPE, 0, head_start=HeadStart(earlier=earlier))
    own = Study(tmp_path / "b", GENDER, Sampler.TPE, 0)
    for one in earlier:
        own.add(one.parameters, one.status, min(one.costs), len(one.costs))
    for _ in range(4):
        (number, ours), (other, theirs) = taught.ask(), own.ask()
        assert ours == theirs
        taught.tell(number, "finished", cost_of(ours), 2, "")
        own.tell(other, "finished", cost_of(ours), 2, "")
    assert list(taught.known()) == [0, 1, 2, 3]  # the earlier trials are not the new search's


def test_journals_of_searches_that_know_nothing_are_as_ever(tmp_path):
    study = Study(tmp_path / "j", GENDER, Sampler.RANDOM, 0)
    number, _ = study.ask()
    study.tell(number, "finished", 0.5, 2, "", [0.6, 0.5])
    assert study.study.get_trials()[0].user_attrs == {"status": "finished", "reason": ""}


def test_the_seeds_and_random_draws_of_older_versions_are_those_of_this_one(tmp_path):
    """Literals: with another derivation every run that is resumed or repeated would be another run."""
    seeds = [derived_seed(0), derived_seed(0, 0, 7), derived_seed(2**32 - 1, 7, 0)]
    assert seeds == [2968811710, 3452072284, 981735083]
    study = Study(tmp_path / "j", GENDER, Sampler.RANDOM, 5)
    assert [study.ask() for _ in range(2)] == [
        (0, {"optimizer": "rmsprop", "lr": pytest.approx(2.850399147314181e-4, rel=1e-9)}),
        (1, {"optimizer": "rmsprop", "lr": pytest.approx(4.652723119560915e-5, rel=1e-9)}),
    ]


def test_the_file_gives_back_what_was_written_and_rungs_see_the_objective_itself(tmp_path):
    known = HeadStart(
        [{"optimizer": "adagrad", "lr": 2e-4}],
        [
            Earlier({"optimizer": "adam", "lr": 1e-4}, [-0.6, -0.7], "stopped"),
            Earlier({"optimizer": "adam", "lr": 2e-4}, [-0.8, -0.9, -0.9], "stopped", same_rungs=False),
        ],
        CENTRE,
    )
    known.write(tmp_path / "head_start.json")
    assert read_head_start(tmp_path / "head_start.json", GENDER) == known
    curve = [{"epoch": 1, "val_gender_auc": 0.6}, {"epoch": 2, "val_gender_auc": 0.7}]
    assert known.past(Objective("val_gender_auc")) == [({"optimizer": "adam", "lr": 1e-4}, curve)]


GOOD = {
    "leaders": [{"optimizer": "adagrad", "lr": 2e-4}],
    "earlier": [{"parameters": {"optimizer": "adam", "lr": 1e-4}, "costs": [0.5], "status": "stopped"}],
    "prior": CENTRE,
}


@pytest.mark.parametrize(
    "change",
    [
        {"leaders": [{"lr": 2e-4}]},
        {"leaders": [{"optimizer": "adagrad", "lr": 2.0}]},
        {"leaders": 3},
        {"earlier": [{"parameters": {"optimizer": "adam", "lr": 1e-4}, "costs": [], "status": "stopped"}]},
        {"earlier": [{"parameters": {"optimizer": "adam", "lr": 1e-4}, "costs": ["0"], "status": "stopped"}]},
        {"earlier": [{"parameters": {"optimizer": "adam", "lr": 1e-4}, "costs": [0.5], "status": "failed"}]},
        {"earlier": [{"costs": [0.5]}]},
        {"prior": {"nobody": {}}},
        {"prior": {"gender": {"d_k": 3}}},
        {"prior": []},
    ],
    ids=str,
)
def test_a_file_that_no_search_in_this_space_wrote_is_one_line_that_names_it(tmp_path, change):
    path = tmp_path / "head_start.json"
    path.write_text(json.dumps(GOOD))
    assert read_head_start(path, GENDER).leaders == GOOD["leaders"]
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(UserError) as error:
        read_head_start(path, GENDER)
    assert str(error.value).count(str(path)) == 1
    assert "\n" not in str(error.value)
