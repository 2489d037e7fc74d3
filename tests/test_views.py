import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import real_search
import torch

from core.augmentation import Augmentation, ChangedFaces
from core.config import config_from_flat
from core.errors import UserError
from core.faces import load_drawn_faces
from core.folds import fold_faces
from core.models import build_model
from core.names import Precision
from core.preparation import VIEW_SEED, prepare_inputs
from core.session import Session
from core.splits import split_faces
from search_spaces.catalogue import SPACES
from search_spaces.parameter import Choice, Float
from search_spaces.space import Space
from tune.materials import Materials
from tune.plan import Plan
from tune.profile import Profile, settled_space

CPU = torch.device("cpu")
FLIPPED, STRONG = Augmentation(0.0, True, 1), Augmentation(1.0, True, 2)
BASE = {"frozen_blocks": 5, "head_width": 16, "precision": "fp32", "landmark_start": "mean_face", "lr": 1e-3}


def quiet(_):
    return lambda *_: None


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, weights):
    """Twenty drawn faces, their split, and their inputs with views of two augmentations."""
    cache = tmp_path_factory.mktemp("cache")
    faces = load_drawn_faces(20, 0, cache, quiet(""))
    split = split_faces(faces.gender, faces.identity, 0)
    folds = fold_faces(split, faces.gender, faces.identity, 3, 0)
    given = (faces, split, weights, [5], Precision.FP32, CPU, cache)
    inputs = prepare_inputs(*given, quiet, folds, {FLIPPED, STRONG})
    return SimpleNamespace(faces=faces, split=split, inputs=inputs, given=given, folds=folds)


def curve(weights, examples, **settings):
    session = Session(config_from_flat({**BASE, **settings}), *examples, weights, 3, CPU)
    return [{k: v for k, v in session.run_epoch().items() if "seconds" not in k} for _ in range(2)]


def test_faces_mirrored_once_and_kept_train_as_faces_that_are_mirrored_as_they_are_shown(prepared, weights):
    kept = curve(weights, prepared.inputs[5].examples(FLIPPED), flip=True)
    fresh = curve(weights, prepared.inputs[0].examples(), flip=True, activation_cache=False)
    plain = curve(weights, prepared.inputs[5].examples())
    assert [row["train_loss"] for row in kept] == pytest.approx([row["train_loss"] for row in fresh], rel=1e-4)
    assert kept[-1]["relative_error"] == pytest.approx(fresh[-1]["relative_error"], rel=1e-3)
    assert kept[0]["train_loss"] != pytest.approx(plain[0]["train_loss"], rel=1e-4)


def test_a_view_is_what_the_frozen_blocks_make_of_the_changed_face(prepared, weights):
    faces, split = prepared.faces, prepared.split
    train, validation = prepared.inputs[5].examples(STRONG)
    assert validation.views is None
    seen = np.sort(np.concatenate([split.train, split.validation]))
    changed = ChangedFaces(faces.images, seen, faces.landmarks[seen], STRONG, VIEW_SEED)
    model = build_model(config_from_flat(BASE).model, weights, torch.zeros(5, 2))
    for place in (0, len(train) - 1):
        row = int(np.searchsorted(seen, split.train[place]))
        for view in range(STRONG.views):
            expected = model.frozen_features(torch.from_numpy(changed[np.array([row * STRONG.views + view])]))
            found = train.views.inputs[train.views.rows[place, view]]
            assert np.allclose(found, expected.numpy()[0], rtol=1e-3, atol=1e-4)
            assert np.allclose(train.views.landmarks[place, view], changed.landmarks[row, view])


def test_every_epoch_draws_among_the_views_and_the_face_itself(prepared, weights):
    train, validation = prepared.inputs[5].examples(STRONG)
    session = Session(config_from_flat({**BASE, "augmentation": 1.0}), train, validation, weights, 3, CPU)
    random = np.random.default_rng(0)
    shown = np.concatenate([session._shown(np.zeros(50, np.int64), random).landmarks.numpy() for _ in range(6)]) * 224
    kinds, counts = np.unique(shown.round(2), axis=0, return_counts=True)
    candidates = np.concatenate([train.landmarks[:1], train.views.landmarks[0]])
    assert len(kinds) == 3
    assert np.allclose(np.sort(kinds, axis=0), np.sort(candidates.round(2), axis=0), atol=0.02)
    assert counts.min() > 75


def test_folds_train_on_views_of_their_own_faces_and_validate_on_faces_as_they_are(prepared):
    pairs = prepared.inputs[5].fold_examples(STRONG)
    assert len(pairs) == 3
    for (train, validation), (indices, _) in zip(pairs, prepared.folds, strict=True):
        assert validation.views is None
        assert train.views.rows.shape == (len(indices), STRONG.views)
        assert np.array_equal(train.views.rows[:, 0] // STRONG.views, train.rows)


def test_views_are_computed_once(prepared):
    def unwanted(title):
        def hear(*_):
            raise AssertionError(title)

        return hear

    again = prepare_inputs(*prepared.given, unwanted, prepared.folds, {FLIPPED, STRONG})
    assert {k: v.path for k, v in again[5].views.items()} == {k: v.path for k, v in prepared.inputs[5].views.items()}


def test_files_that_are_missing_are_counted_and_none_is_begun_where_the_disk_cannot_hold_them_all(
    prepared, tmp_path, monkeypatch
):
    *given, _ = prepared.given
    titles = []
    seen = len(prepared.split.train) + len(prepared.split.validation)
    one_file = seen * 7 * 7 * 512 * 4  # and views of the two kinds have one and two times that
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * one_file))
    with pytest.raises(UserError, match=f"activations of {4 * seen} faces"):
        prepare_inputs(*given, tmp_path, titles.append, (), {FLIPPED, STRONG})
    assert titles == []
    monkeypatch.undo()

    def report(title):
        titles.append(title)
        return quiet("")

    prepare_inputs(*given, tmp_path, report, (), {FLIPPED, STRONG})
    assert titles[0] == "activations of 5 frozen blocks (1 of 3)"
    assert {title.removesuffix(")")[-6:] for title in titles} == {"1 of 3", "2 of 3", "3 of 3"}
    prepare_inputs(*given, tmp_path, report, (), {FLIPPED, STRONG})
    assert len(titles) == 3


def test_activations_without_views_are_not_changed_as_if_they_were_faces(prepared, weights):
    config = config_from_flat({**BASE, "flip": True})
    with pytest.raises(ValueError, match="views are missing"):
        Session(config, *prepared.inputs[5].examples(), weights, 3, CPU)


def space_with(**parameters) -> Space:
    attention = SPACES["attention"]
    return Space("own", "", {**attention.parameters, **parameters}, attention.conditions, attention.fixed)


def plan_with(settings=None, **parameters):
    space = settled_space(space_with(**parameters), Profile.FAST, settings or {})
    return Plan(space=space.to_json(), profile=Profile.FAST)


def test_a_search_prepares_views_of_every_augmentation_that_a_trial_may_have():
    materials = object.__new__(Materials)
    materials.plan = plan_with(augmentation=Choice((0.0, 0.5, 1.0)), flip=Choice((False, True)))
    assert materials._blocks() == {5}
    wanted = {Augmentation(s, f, 8) for s in (0.5, 1.0) for f in (False, True)} | {FLIPPED}
    assert materials._augmentations() == wanted
    materials.plan = plan_with({"activation_cache": False}, augmentation=Float(0, 1))
    assert (materials._blocks(), materials._augmentations()) == ({0}, set())


def test_a_range_of_strengths_needs_faces_that_are_changed_as_they_are_shown():
    with pytest.raises(
        UserError, match="augmentation must be one of some values where activations are cached, got 0 t"
    ):
        plan_with(augmentation=Float(0, 1))
    assert plan_with({"frozen_blocks": 0}, augmentation=Float(0, 1)).frozen_blocks() == (0,)


@pytest.mark.slow
@pytest.mark.cluster
def test_a_search_over_augmentations_trains_on_views_and_retrains_its_winner_with_them(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(json.dumps(space_with(augmentation=Choice((0.5, 1.0))).to_json()))
    words = ["--space", str(path), "--trials", "2", "--epochs", "1", "--retrain-epochs", "1", "--retrain-seeds", "1"]
    settings = [*real_search.COMMON, "views=2", "flip=true"]
    ended = real_search.run([*real_search.command(tmp_path / "runs", tmp_path / "cache", *words), *settings])
    assert ended.returncode == 0, ended.stderr
    trials = pd.read_csv(tmp_path / "runs/own/trials.csv")
    assert trials["status"].tolist() == ["finished"] * 2
    assert set(trials["config.augmentation"]) <= {0.5, 1.0}
    winners = pd.read_csv(tmp_path / "runs/own/winners.csv")
    assert winners["config.flip"][0]
    assert len(list((tmp_path / "cache").glob("activations-*/activations.npy"))) == 3
