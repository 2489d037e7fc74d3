"""The folder that a worker fills: the run's own, or a copy below the cache that goes to where the run is kept."""

from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from core.config import config_from_flat
from core.objective import Objective
from core.patience import AwayError, Patience
from core.session import Session
from tune.outpost import Outpost
from tune.recorder import AWAY
from tune.trainable import Bench, RetrainTrial, SearchTrial


def job(tmp_path, url):
    home = tmp_path / "run"
    home.mkdir(exist_ok=True)
    place = {"home": str(home), "folder": str(home / "winner"), "url": url, "again": "--resume a"}
    return place | {"parameters": {}, "seed": 3, "record": {"model": "multitask"}}


def test_a_copy_lies_below_the_cache_that_the_user_wants_and_else_below_the_nodes_own(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "own"))
    url = (tmp_path / "bucket").as_uri()
    assert Outpost(job(tmp_path, url), tmp_path / "wanted").path.is_relative_to(tmp_path / "wanted")
    assert Outpost(job(tmp_path, url)).path.is_relative_to(tmp_path / "own")
    assert Outpost(job(tmp_path, None), tmp_path / "wanted").path == tmp_path / "run" / "winner"


def test_a_node_that_does_not_see_the_run_is_no_fault_of_the_job_and_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("tune.outpost.Patience", partial(Patience, seconds=0.1))
    away = {"home": str(tmp_path / "away"), "folder": str(tmp_path / "away/a"), "url": None, "again": "--resume a"}
    with pytest.raises(
        AwayError, match=r"away: node \S+ does not see the run's folder: .*, for 0 s; .* with --resume a$"
    ):
        Outpost(away)


def test_a_disk_that_is_mounted_a_moment_later_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("core.patience.time.sleep", lambda _: (tmp_path / "run").mkdir())
    late = {"home": str(tmp_path / "run"), "folder": str(tmp_path / "run/a"), "url": None, "again": ""}
    assert Outpost(late).path == tmp_path / "run/a"


def test_a_trial_on_a_node_that_does_not_see_the_run_stays_open_and_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("tune.outpost.Patience", partial(Patience, seconds=0.1))
    trial = object.__new__(SearchTrial)
    trial.bench = SimpleNamespace(workload=SimpleNamespace(timeout=None, cache=None, keep_predictions=False))
    trial.reset_config({"home": str(tmp_path / "away"), "folder": "a", "url": None, "again": "--resume a"})
    result = trial.step()
    assert result["done"]
    assert "does not see the run's folder" in result[AWAY]


def test_a_trial_that_ended_holds_no_model_any_more(tmp_path, weights, activations):
    fixed = config_from_flat({"frozen_blocks": 5, "head_width": 8, "precision": "fp32", "lr": 1e-3})
    trial = object.__new__(SearchTrial)
    workload = SimpleNamespace(
        objective=Objective("relative_error"), epochs=2, timeout=None, cache=None, keep_predictions=False
    )
    trial.bench = SimpleNamespace(
        workload=workload, trial=lambda *_: Session(fixed, *activations, weights, 3, torch.device("cpu"))
    )
    trial.reset_config(job(tmp_path, None))
    assert not trial.step()["done"]
    assert trial.session is not None
    assert trial.step()["done"]
    assert trial.session is None


@pytest.mark.parametrize("remote", [False, True])
def test_a_retraining_that_is_interrupted_leaves_its_checkpoint_and_no_copy_and_goes_on(
    tmp_path, weights, activations, remote
):
    place, cache = tmp_path / "bucket", tmp_path / "cache"
    workload = SimpleNamespace(objective=Objective("relative_error"), retrain_epochs=4, timeout=None, cache=cache)
    fixed = config_from_flat({"frozen_blocks": 5, "head_width": 8, "precision": "fp32", "lr": 1e-3})

    def session(*_):
        return Session(fixed, *activations, weights, 3, torch.device("cpu"))

    def begun():
        trial = object.__new__(RetrainTrial)
        trial.bench = SimpleNamespace(workload=workload, session=session)  # as setup makes it
        trial.reset_config({"job": job(tmp_path, place.as_uri() if remote else None)})
        return trial

    trial, left = begun(), place if remote else tmp_path / "run" / "winner"
    for _ in range(2):
        trial.step()
    assert any(cache.glob("outposts/*")) is remote
    trial.cleanup()
    assert (left / "checkpoint.pt").is_file()
    assert not any(cache.glob("outposts/*"))
    again = begun()
    assert again.step()["epoch"] == 3
    assert again.step()["done"]
    assert (left / "weights.safetensors").is_file()
    assert not (left / "checkpoint.pt").exists()
    assert not any(cache.glob("outposts/*"))


def test_a_schedule_is_over_the_epochs_of_a_retraining_and_not_those_of_a_trial(weights, activations):
    bench = object.__new__(Bench)
    settings = {"frozen_blocks": 5, "head_width": 8, "precision": "fp32", "lr_schedule": "cosine", "lr": 1e-3}
    bench.workload = SimpleNamespace(settings=settings, gpus=0.0, epochs=2, folded=False)
    bench.weights, bench.device, bench.examples = weights, torch.device("cpu"), lambda _: activations
    retraining, trial = bench.session({}, 0, 5), bench.trial({}, 0)
    rates = []
    for _ in range(5):
        retraining.run_epoch()
        rates.append(retraining.optimizer.param_groups[0]["lr"])
    assert all(later < earlier for earlier, later in pairwise(rates))
    assert trial.epochs == 2


@pytest.mark.parametrize(
    "told", ["CUDA error: CUBLAS_STATUS_ALLOC_FAILED", "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"]
)
def test_a_gpu_that_fails_in_the_middle_of_an_epoch_leaves_no_checkpoint_of_a_half(tmp_path, told):
    class Broken:
        done = False

        def run_epoch(self):
            raise RuntimeError(told)

        def checkpoint(self):
            raise AssertionError("half an epoch was written")

    trial = object.__new__(RetrainTrial)
    trial.bench = SimpleNamespace(workload=SimpleNamespace(timeout=None))
    trial.reset_config({"job": job(tmp_path, None)})
    trial.retraining = Broken()
    with pytest.raises(RuntimeError, match="STATUS"):
        trial.step()
    trial.cleanup()  # as Ray does before it starts another process
