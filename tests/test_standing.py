import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm, t
from sklearn.metrics import log_loss

from core.kept_predictions import write_predictions
from core.metrics import (
    FaceErrors,
    Predictions,
    Truth,
    baseline_scores,
    distance_pct,
    face_errors,
    relative_error,
    score,
)
from core.names import Architecture
from core.objective import Objective
from core.standing import (
    chances_over_folds,
    chances_over_seeds,
    cost_by,
    front_chances_over_seeds,
    might_be,
    whole_cost,
)
from search_spaces.catalogue import SPACES
from tune.plan import Plan
from tune.profile import Profile
from tune.verdict import chances_by_label
from tune.winners import Candidate

NME = cost_by(Objective("val_nme_pct"), 40.0)


def model(faces_by_seeds):
    """Errors of a model whose NME of each face, for each seed, is given."""
    gender = np.arange(faces_by_seeds.shape[1]) % 2
    return [FaceErrors(gender, None, row / 500, np.repeat(row[:, None], 5, axis=1)) for row in faces_by_seeds]


def noisy(mean, faces, seeds, face_sd=0.0, seed_sd=0.0, number=0):
    """NME with exactly this mean and these spreads over faces and seeds."""
    random = np.random.default_rng(number)

    def spread(count, sd):
        drawn = random.normal(size=count)
        return np.zeros(count) if sd == 0 else sd * (drawn - drawn.mean()) / drawn.std(ddof=1)

    return mean + spread(faces, face_sd)[None] + spread(seeds, seed_sd)[:, None]


def test_a_model_that_is_better_on_every_face_with_every_seed_is_the_best():
    shared = noisy(20, 50, 3, face_sd=5)
    assert chances_over_seeds([model(shared), model(shared - 0.1)], NME, 0, 200) == [0, 1]


def test_equal_models_share_the_chance():
    same = noisy(20, 50, 1, face_sd=5)
    assert chances_over_seeds([model(same)] * 4, NME, 0, 200) == pytest.approx([0.25] * 4)


def test_more_pictures_of_the_same_people_make_nothing_surer():
    one, other = noisy(20, 30, 3, face_sd=5, seed_sd=1, number=1), noisy(21, 30, 3, face_sd=5, seed_sd=1, number=2)
    few = [model(one), model(other)]
    person = np.tile(np.arange(30), 8)
    many = [[replace(errors.draw(person), person=person) for errors in runs] for runs in few]
    found = chances_over_seeds(many, NME, 0, 300)
    assert 0.05 < found[1] < 0.45
    assert found == pytest.approx(chances_over_seeds(few, NME, 0, 300))
    assert front_chances_over_seeds(many, [NME, NME], 0, 300) == pytest.approx(found)


def test_the_chance_over_faces_is_that_of_a_normal_mean():
    faces, difference, sd = 200, 0.5, 6.0
    one, other = noisy(20, faces, 1, face_sd=sd), noisy(20, faces, 1)  # the other is the same on each face
    women, men = one[0, ::2], one[0, 1::2]
    error = math.sqrt((women.var() + men.var()) / (2 * faces))
    found = chances_over_seeds([model(one - difference), model(other)], NME, 1, 4000)[0]
    assert found == pytest.approx(norm.cdf(difference / error), abs=0.03)


def test_the_chance_over_seeds_is_that_of_students_t():
    for seeds in (3, 12):
        difference, sd = 0.5, 1.0
        one, other = noisy(20, 40, seeds, seed_sd=sd), noisy(20, 40, seeds)
        found = chances_over_seeds([model(one - difference), model(other)], NME, 1, 4000)[0]
        assert found == pytest.approx(t.cdf(difference / (sd / math.sqrt(seeds)), seeds - 1), abs=0.03)


def fold_models(means):
    """Models whose NME of each fold, round by round, is given; folds differ in size."""
    return [
        [errors for row in rows for value, size in zip(row, (10, 14, 12), strict=True) for errors in [model(np.full((1, size), value))[0]]]
        for rows in means
    ]  # fmt: skip


def test_the_chance_over_folds_is_students_t_of_the_paired_differences():
    random = np.random.default_rng(0)
    hard = random.normal(20, 5, 3)  # what is hard for both
    one = np.stack([hard + random.normal(0, 1, 3) for _ in range(2)])
    other = np.stack([hard + 0.6 + random.normal(0, 1, 3) for _ in range(2)])
    differences = (other - one).mean(axis=0)
    expected = t.cdf(differences.mean() / (differences.std(ddof=1) / math.sqrt(3)), 2)
    found = chances_over_folds(fold_models([one, other]), [NME] * 3, 1, 4000)[0]
    assert found == pytest.approx(expected, abs=0.03)


def test_each_fold_is_measured_by_its_own_cost():
    costs = [lambda _, k=k: lambda _: float(k) for k in range(3)]
    better = [lambda _, k=k: lambda faces: k - float(len(faces) == 12) for k in range(3)]
    assert chances_over_folds(fold_models([[[1, 1, 1]]]), costs, 0, 10) == [1.0]
    models = [[model(np.full((1, size), 1.0))[0] for size in sizes] for sizes in ((10, 14, 10), (10, 14, 12))]
    assert chances_over_folds(models, better, 0, 400)[1] > 0.5


def test_of_two_equal_models_one_is_called_surely_the_best_as_seldom_as_it_should_be():
    random = np.random.default_rng(3)
    surely = 0
    for _ in range(400):
        models = [random.normal(size=5) for _ in range(2)]
        won = np.mean([np.argmin(might_be(models, random)) for _ in range(300)])
        surely += max(won, 1 - won) >= 0.95
    assert surely / 400 == pytest.approx(0.10, abs=0.05)


def test_the_same_seed_gives_the_same_chances():
    models = [model(noisy(20, 30, 2, 5, 1, number)) for number in range(3)]
    assert chances_over_seeds(models, NME, 5, 100) == chances_over_seeds(models, NME, 5, 100)
    assert chances_over_seeds(models, NME, 5, 100) != chances_over_seeds(models, NME, 6, 100)
    assert sum(chances_over_seeds(models, NME, 5, 100)) == pytest.approx(1)


@pytest.mark.parametrize("name", ["relative_error", "val_gender_ce", "val_gender_auc", "val_nme_pct"])
def test_the_cost_is_the_objective_as_the_session_scores_it(name):
    random = np.random.default_rng(0)
    truth = Truth(np.arange(30) % 2, random.uniform(50, 150, (30, 5, 2)).astype(np.float32))
    said = Predictions(random.normal(size=(30, 2)), truth.landmarks + random.normal(size=(30, 5, 2)))
    scores, base = score(said, truth), baseline_scores(truth, truth)["nme_pct"]
    row = {**{f"val_{k}": v for k, v in scores.items()}, "relative_error": relative_error(scores, base)}
    cost = cost_by(Objective(name), base)(face_errors(said, truth))(np.arange(30))
    assert cost == pytest.approx(Objective(name).cost(row))
    if name == "val_gender_ce":
        probabilities = np.exp(said.gender_logits) / np.exp(said.gender_logits).sum(axis=1, keepdims=True)
        assert cost == pytest.approx(log_loss(truth.gender, probabilities))


@pytest.mark.parametrize("name", ["relative_error", "val_gender_ce", "val_landmark_l1", "val_nme_pct", "val_fr10_pct"])
def test_a_choice_of_faces_costs_what_they_score_as_a_whole(name):
    random = np.random.default_rng(0)
    truth = Truth(np.arange(30) % 2, random.uniform(50, 150, (30, 5, 2)).astype(np.float32))
    said = Predictions(random.normal(size=(30, 2)), truth.landmarks + random.normal(size=(30, 5, 2)))
    errors, faces = face_errors(said, truth), random.integers(30, size=30)
    expected = whole_cost(Objective(name), errors.draw(faces), 40.0)
    cost = cost_by(Objective(name), 40.0)(errors)(faces)
    assert cost == pytest.approx(expected)
    if name == "val_fr10_pct":
        assert cost == pytest.approx(100 * (distance_pct(said.landmarks, truth.landmarks)[faces] > 10).mean())


def test_a_loss_in_units_of_its_own_compares_nothing():
    assert cost_by(Objective("val_loss"), 40.0) is None


PLAN = Plan(SPACES["joint"].to_json(), Profile.FAST)


@pytest.mark.parametrize("kept", [(0,), (1, 2), (2,)])
def test_no_chance_is_told_of_a_candidate_of_which_another_retraining_failed(tmp_path, kept):
    random, seeds = np.random.default_rng(0), {"multitask": (0, 1), "multitask-2": (0, 1), "multitask-3": kept}
    gender, landmarks = (
        np.arange(20) % 2,
        np.tile([[80, 100], [120, 100], [100, 120], [85, 150], [115, 150]], (20, 1, 1)),
    )
    folders = {label: [tmp_path / label / f"seed-{seed}" for seed in numbers] for label, numbers in seeds.items()}
    for folder in (folder for group in folders.values() for folder in group):
        folder.mkdir(parents=True)
        said = Predictions(random.normal(size=(20, 2)), landmarks + random.normal(0, 3, (20, 5, 2)))
        write_predictions(folder, said)
    part = SimpleNamespace(validation=SimpleNamespace(truth=Truth(gender, landmarks.astype(np.float32))))
    materials = SimpleNamespace(baseline=lambda: {"nme_pct": 40.0}, inputs={0: part})
    candidates = [Candidate(label, Architecture.MULTITASK, 0, {}) for label in seeds]
    found = chances_by_label(candidates, folders, PLAN, materials)
    assert set(found) == {"multitask", "multitask-2"}
    assert sum(found.values()) == pytest.approx(1)


def both_goals(nats, nme):
    """Errors of a model with these cross-entropies and NMEs: (seeds, faces) each."""
    gender = np.arange(nme.shape[1]) % 2
    signs = np.where(gender == 1, 1, -1)
    runs = zip(-np.log(np.expm1(nats)) * signs, nme, strict=True)
    return [FaceErrors(gender, margin, row / 500, np.repeat(row[:, None], 5, axis=1)) for margin, row in runs]


GOALS = [cost_by(Objective(name), 40.0) for name in ("val_gender_ce", "val_nme_pct")]


def test_a_model_is_on_the_front_while_none_beats_it_in_both_goals():
    nats, nme = np.full((3, 50), 0.3), noisy(20, 50, 3, face_sd=4, seed_sd=1)
    one, other = both_goals(nats, nme), both_goals(nats + 0.1, nme - 1)
    behind_both = both_goals(nats + 0.2, nme + 1)
    assert front_chances_over_seeds([one, other, behind_both], GOALS, 0, 200) == [1, 1, 0]


def test_the_chance_to_be_on_the_front_is_that_of_not_being_worse_in_the_goal_that_is_unsure():
    difference, sd, faces = 0.5, 6.0, 200
    one = noisy(20, faces, 1, face_sd=sd)
    error = math.sqrt((one[0, ::2].var() + one[0, 1::2].var()) / (2 * faces))
    surely_worse = both_goals(np.full((1, faces), 0.5), one - difference)
    rival = both_goals(np.full((1, faces), 0.4), noisy(20, faces, 1))
    found = front_chances_over_seeds([surely_worse, rival], GOALS, 1, 4000)
    assert found[0] == pytest.approx(norm.cdf(difference / error), abs=0.03)
    assert found[1] == 1


def test_seeds_that_are_lucky_in_both_goals_stay_so():
    luck = np.array([[-1.0], [0.0], [1.0]]) + np.zeros((3, 40))
    # A rival's two goals move together, so that it is better in both or in none; apart it would be so a quarter of the time.
    steady, moving = both_goals(np.full((3, 40), 0.5), np.full((3, 40), 20.0)), both_goals(0.5 + 0.1 * luck, 20 + luck)
    found = front_chances_over_seeds([steady, moving], GOALS, 0, 4000)
    assert found == pytest.approx([0.5, 0.5], abs=0.03)
