from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ray.exceptions import RayError

from core.errors import UserError
from core.examples import Examples, Views
from tune import estimate
from tune.estimate import _first, _measure, seconds_per_epoch
from tune.machine import Workers


def test_a_small_part_has_women_and_men_in_turn_and_keeps_what_belongs_together():
    gender = np.array([0] * 30 + [1] * 10)
    landmarks = np.arange(40, dtype=np.float32)[:, None, None] * np.ones((1, 5, 2), np.float32)
    part = _first(Examples(np.zeros((80, 3, 2, 2)), np.arange(40) + 40, landmarks, gender), 0.2)
    assert len(part) == 8
    assert part.gender.sum() == 4
    np.testing.assert_array_equal(part.rows - 40, part.landmarks[:, 0, 0])
    np.testing.assert_array_equal(part.gender, gender[part.rows - 40])


def test_views_of_a_small_part_are_of_its_own_faces():
    gender = np.arange(20) % 2
    landmarks = np.arange(20, dtype=np.float32)[:, None, None] * np.ones((1, 5, 2), np.float32)
    views = Views(np.zeros((40, 3, 2, 2)), np.arange(40).reshape(20, 2), np.stack([landmarks, landmarks], axis=1))
    part = _first(Examples(np.zeros((20, 3, 2, 2)), np.arange(20), landmarks, gender, views), 0.3)
    assert part.views is not None
    np.testing.assert_array_equal(part.views.rows[:, 0], 2 * part.rows)
    np.testing.assert_array_equal(part.views.landmarks[:, 1], part.landmarks)


def part_of(count):
    return Examples(np.zeros((count, 3, 2, 2)), np.arange(count), np.zeros((count, 5, 2)), np.arange(count) % 2)


class Trained:
    """In place of a session: the first epoch takes long, and the next three 2, 9 and 4 seconds."""

    made = None

    def __init__(self, config, train, validation, *_, epochs):
        Trained.made = self
        self.config, self.sizes, self.epochs = config, (len(train), len(validation)), epochs
        self.took = [500.0, 2.0, 9.0, 4.0]

    def run_epoch(self):
        return {"seconds_per_epoch": self.took.pop(0)}


@pytest.mark.parametrize(
    ("blocks", "faces", "measured", "seconds"),
    [
        (5, (240, 24), (240, 24), 4.0),  # heads are measured whole
        (4, (240, 24), (60, 6), 16.0),  # a quarter of the faces, four times the median of 2, 9 and 4
        (0, (240, 24), (60, 6), 16.0),
        (0, (40, 4), (40, 4), 4.0),  # there are no 60
    ],
)
def test_an_epoch_of_a_whole_network_is_scaled_up_from_60_faces(monkeypatch, blocks, faces, measured, seconds):
    given = {"weights": None, "device": torch.device("cpu")}
    bench = SimpleNamespace(examples=lambda _: tuple(map(part_of, faces)), **given)
    monkeypatch.setattr(estimate, "Bench", lambda _: bench)
    monkeypatch.setattr(estimate, "Session", Trained)
    workload = SimpleNamespace(settings={"frozen_blocks": blocks, "lr": 1e-3}, epochs=7)
    assert _measure(workload, {"lr": 1e-4}) == pytest.approx(seconds)
    made = Trained.made
    assert (made.sizes, made.epochs, made.took) == (measured, 7, [])
    assert made.config.training.lr == 1e-4  # a trial's own, not that of the settings


class OneWorker:
    """In place of Ray: one worker, which does at once what it is given, with the room that was asked for."""

    def __init__(self):
        self.room = None

    def remote(self, **room):
        self.room = room
        return lambda function: SimpleNamespace(remote=lambda *given: lambda: function(*given))

    def put(self, value):
        return value

    def get(self, task):
        return task()


def test_it_is_measured_on_a_worker_as_large_as_those_of_trials(monkeypatch):
    ray = OneWorker()
    monkeypatch.setattr(estimate, "ray", ray)
    monkeypatch.setattr(estimate, "_measure", lambda workload, parameters: len(workload) + parameters["lr"])
    assert seconds_per_epoch("abc", Workers(4, 3, 0.5), {"lr": 0.25}) == 3.25
    assert ray.room == {"num_cpus": 3, "num_gpus": 0.5}


def test_what_cannot_be_trained_is_one_line_with_its_settings_and_the_last_that_the_worker_said(monkeypatch):
    def diverges(*_):
        raise RayError("ray::_measure()\n  File ...\ncore.session.DivergedError: not finite\n")

    monkeypatch.setattr(estimate, "ray", OneWorker())
    monkeypatch.setattr(estimate, "_measure", diverges)
    with pytest.raises(UserError) as error:
        seconds_per_epoch(None, Workers(1, 1, 0.0), {"lr": 9.0})
    assert str(error.value) == "an epoch with {'lr': 9.0} cannot be measured: core.session.DivergedError: not finite"
