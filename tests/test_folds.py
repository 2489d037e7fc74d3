import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from real_search import COMMON, command, run
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from core.config import config_from_flat
from core.errors import UserError
from core.examples import Examples
from core.faces import load_drawn_faces
from core.folds import FoldedSession, fold_faces
from core.run_folder import RunFolder
from core.seeds import derived_seed
from core.session import DivergedError, Session
from core.splits import read_split, split_faces
from search_spaces.catalogue import SPACES
from tune.plan import Plan, grid_options, plan_from_json
from tune.profile import Profile, settled_space

SETTINGS = {"frozen_blocks": 5, "head_width": 16, "precision": "fp32", "landmark_start": "mean_face", "lr": 1e-3}


def assert_divides(pairs, split):
    """Each face of train and validation is validated on once, and never by a model that trained on it."""
    seen = sorted([*split.train, *split.validation])
    assert sorted(np.concatenate([validation for _, validation in pairs])) == seen
    for train, validation in pairs:
        assert sorted([*train, *validation]) == seen
        assert (np.diff(train) > 0).all()
        assert (np.diff(validation) > 0).all()


@given(st.integers(30, 200), st.integers(30, 200), st.integers(2, 10), st.integers(0, 2**32 - 1))
def test_folds_of_single_faces_are_alike_in_size_and_in_women(women, men, folds, seed):
    gender = np.random.default_rng(seed).permutation(np.repeat([0, 1], [women, men]))
    split = split_faces(gender, np.arange(len(gender)), 0)
    pairs = fold_faces(split, gender, np.arange(len(gender)), folds, seed)
    assert_divides(pairs, split)
    assert np.ptp([len(validation) for _, validation in pairs]) <= 2
    assert np.ptp([gender[validation].sum() for _, validation in pairs]) <= 1


@given(st.integers(40, 80), st.integers(2, 5), st.integers(0, 999))
def test_nobody_is_trained_on_and_validated_on_in_one_fold(people, folds, seed):
    random = np.random.default_rng(seed)
    identity = np.repeat(np.arange(people), random.integers(1, 4, people))
    gender = identity % 2
    split = split_faces(gender, identity, 0)
    pairs = fold_faces(split, gender, identity, folds, seed)
    assert_divides(pairs, split)
    assert all(not set(identity[train]) & set(identity[validation]) for train, validation in pairs)
    assert np.ptp([gender[validation].mean() for _, validation in pairs]) < 0.3


def test_another_seed_gives_other_folds_and_the_same_one_the_same():
    gender = np.arange(100) % 2
    split = split_faces(gender, np.arange(100), 0)

    def first(seed):
        return fold_faces(split, gender, np.arange(100), 5, seed)[0][1].tolist()

    assert first(3) == first(3)
    assert first(3) != first(4)


@pytest.mark.parametrize("identity", [np.arange(30), np.arange(30) // 6 * 2 + np.arange(30) % 2])
def test_more_folds_than_women_or_men_are_a_clear_error(identity):
    gender = np.arange(30) % 2
    split = SimpleNamespace(train=np.arange(20), validation=np.arange(20, 26))
    with pytest.raises(UserError, match="14 folds need 14 women and 14 men"):
        fold_faces(split, gender, identity, 14, 0)


def test_too_few_people_for_the_folds_are_a_clear_error():
    gender, identity = np.arange(60) % 2, np.arange(60) % 2  # one woman and one man, thirty faces each
    split = SimpleNamespace(train=np.arange(50), validation=np.arange(50, 60))
    with pytest.raises(UserError, match="2 folds: one of them would be without women or without men"):
        fold_faces(split, gender, identity, 2, 0)


def test_more_folds_than_people_are_the_same_clear_error():
    identity = np.arange(140) % 14  # seven women and seven men, ten faces each
    split = SimpleNamespace(train=np.arange(120), validation=np.arange(120, 140))
    assert len(fold_faces(split, identity % 2, identity, 7, 0)) == 7
    with pytest.raises(UserError, match=r"15 folds: .*too few people"):
        fold_faces(split, identity % 2, identity, 15, 0)


def thirds(activations):
    """Three pairs of made-up faces."""
    whole, rows = activations[0], np.arange(60)

    def part(chosen):
        return Examples(whole.inputs, whole.rows[chosen], whole.landmarks[chosen], whole.gender[chosen])

    return [(part(rows[rows % 3 != k]), part(rows[rows % 3 == k])) for k in range(3)]


def test_scores_are_means_over_folds_trained_alone(weights, activations):
    config, device, parts = config_from_flat(SETTINGS), torch.device("cpu"), thirds(activations)
    together = FoldedSession(config, parts, weights, 7, device)
    alone = [Session(config, *pair, weights, derived_seed(7, 2, k), device) for k, pair in enumerate(parts)]
    for epoch in (1, 2):
        row = together.run_epoch()
        rows = [session.run_epoch() for session in alone]
        assert row["epoch"] == together.epoch == epoch
        for name in set(row) - {"epoch", "seconds_per_epoch"}:
            assert row[name] == pytest.approx(np.mean([one[name] for one in rows]), abs=1e-12)
        assert row["seconds_per_epoch"] > 0
    areas = [
        roc_auc_score(s.truth.gender, s.predictions.gender_logits[:, 1] - s.predictions.gender_logits[:, 0])
        for s in alone
    ]
    assert row["val_gender_auc"] == pytest.approx(np.mean(areas))


def test_one_fold_that_diverges_ends_the_trial(weights, activations):
    together = FoldedSession(config_from_flat(SETTINGS), thirds(activations), weights, 7, torch.device("cpu"))
    with torch.no_grad():
        together.sessions[1].learned_tensors()["heads.gender.0.weight"].fill_(np.inf)
    with pytest.raises(DivergedError):
        together.run_epoch()


def test_a_plan_with_folds_survives_json_and_knows_its_bounds():
    plan = Plan(SPACES["gender"].to_json(), Profile.FAST, folds=5)
    assert plan_from_json(plan.to_json(), "search.json") == plan
    with pytest.raises(UserError, match="--folds must be from 1 to 20, got 21"):
        Plan(SPACES["gender"].to_json(), Profile.FAST, folds=21)
    space = settled_space(SPACES["paper_gender"], Profile.FAST, {})
    with pytest.raises(UserError, match="--folds 2: a grid is not cross-validated"):
        Plan(space=space.to_json(), profile=Profile.FAST, **grid_options(space, {"folds": 2}))


@pytest.mark.slow
@pytest.mark.cluster
def test_a_searchs_trials_score_what_scikit_learns_folds_give_by_hand(tmp_path, weights):
    cache, path = tmp_path / "cache", tmp_path / "vgg16.safetensors"
    save_file(dict(weights.tensors), path)
    words = ["--space", "multitask", "--name", "a", *COMMON, "--weights", str(path), "--folds", "3"]
    words += ["--trials", "2", "--epochs", "2", "--grace", "2"]
    words += ["--retrain-epochs", "1", "--retrain-seeds", "1", "--top-k", "2"]
    done = run(command(tmp_path, cache, *words))
    assert done.returncode == 0, done.stderr
    folder = RunFolder(tmp_path / "a")
    trials, curves = pd.read_csv(folder.trials), pd.read_csv(folder.curves)
    faces = load_drawn_faces(40, 0, cache, lambda *_: None)
    split = read_split(folder.split, faces)
    seen = np.sort([*split.train, *split.validation])
    [kept] = cache.glob("activations-*/activations.npy")
    inputs = np.load(kept)
    plan = plan_from_json(folder.read_search()["plan"], "")
    fixed = plan.search_space().fixed
    threads = torch.get_num_threads()
    torch.set_num_threads(folder.read_search()["workers"]["threads"])  # with others, digits differ
    for number in (0, 1):
        row = trials.loc[number].dropna()
        varied = {key.removeprefix("config."): row[key] for key in row.index if key.startswith("config.")}
        config = config_from_flat({**fixed, **varied})
        sessions = []
        for k, pair in enumerate(StratifiedKFold(3, shuffle=True, random_state=0).split(seen, faces.gender[seen])):
            parts = [Examples(inputs, at, faces.landmarks[seen[at]], faces.gender[seen[at]]) for at in pair]
            seed = derived_seed(plan.trial_seed(number), 2, k)
            sessions.append(Session(config, *parts, weights, seed, torch.device("cpu")))
        for epoch in (1, 2):
            expected = pd.DataFrame([session.run_epoch() for session in sessions]).mean()
            [found] = curves.query("trial == @number and epoch == @epoch").to_dict("records")
            for name in ("train_loss", "val_loss", "val_nme_pct", "val_gender_auc", "relative_error"):
                assert found[name] == pytest.approx(expected[name], abs=1e-9), (number, epoch, name)
    torch.set_num_threads(threads)
    assert "trials on 3 folds" in done.stdout
    winners = pd.read_csv(folder.winners).set_index("model")
    assert winners.loc[["multitask", "multitask-2"], "probability_best"].sum() == pytest.approx(1)
    assert re.search(
        "^retrained, gender and landmarks: (a tie; the best may be multitask|multitask)", done.stdout, re.MULTILINE
    )
