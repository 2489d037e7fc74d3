"""What must hold on an NVIDIA GPU as it does on the CPU: repeatable curves, sessions that go on, the same activations."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_session import SETTINGS, curve

from core.activations import FrozenActivations
from core.config import config_from_flat
from core.device import make_repeatable
from core.examples import BatchSource, as_tensor
from core.names import AttentionKind, Optimizer, Precision
from core.session import Session

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")]
CPU, GPU = torch.device("cpu"), torch.device("cuda")
MODELS = [
    {"architecture": "multitask"},
    {"architecture": "landmarks", "landmark_head": "heatmap"},
    *({"architecture": "attention", "attention": kind, "d_k": 16} for kind in AttentionKind),
]


def session(weights, activations, device, **settings):
    make_repeatable(device)
    return Session(config_from_flat({**SETTINGS, "lr": 1e-3, **settings}), *activations, weights, 1, device)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", Optimizer)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: " ".join(map(str, model.values())))
def test_the_same_seed_gives_the_same_curve(weights, activations, model, optimizer, precision):
    settings = {**model, "optimizer": optimizer, "precision": precision}
    first, second = (curve(session(weights, activations, GPU, **settings), 3) for _ in range(2))
    assert first == second
    assert first[-1]["train_loss"] < first[0]["train_loss"]


@pytest.mark.parametrize("optimizer", Optimizer)
def test_in_float32_a_curve_is_that_of_the_cpu_but_for_rounding(weights, activations, optimizer):
    """Without dropout, whose random numbers each device has of its own."""
    here, there = (
        curve(session(weights, activations, device, optimizer=optimizer, dropout=0.0), 2) for device in (GPU, CPU)
    )
    assert [row["train_loss"] for row in here] == pytest.approx([row["train_loss"] for row in there], rel=1e-2)


@pytest.mark.parametrize("optimizer", Optimizer)
def test_a_session_goes_on_as_one_never_stopped_and_on_the_other_device_too(weights, activations, optimizer):
    whole, stopped, again, elsewhere = (
        session(weights, activations, device, optimizer=optimizer) for device in (GPU, GPU, GPU, CPU)
    )
    expected = curve(whole, 4)[2:]
    curve(stopped, 2)
    state = copy.deepcopy(stopped.state_dict())
    again.load_state_dict(state)
    assert curve(again, 2) == expected
    elsewhere.load_state_dict(state)
    assert curve(elsewhere, 1)[0]["epoch"] == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.uint16])
def test_a_batch_of_what_lies_on_the_gpu_is_the_batch_that_is_gathered(activations, dtype):
    part = activations[0]
    part = replace(part, inputs=(np.abs(part.inputs) * 100).astype(dtype))
    indices = np.array([5, 0, 17, 5])
    resident = BatchSource(part, GPU)
    assert resident.resident is not None
    found = resident.gather(indices).inputs.cpu()
    assert torch.equal(found, as_tensor(part.inputs[part.rows[indices]]))
    resident.resident = None
    assert torch.equal(resident.gather(indices).inputs.cpu(), found)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
def test_activations_are_those_of_the_cpu_but_for_rounding_and_the_same_each_time(weights, tmp_path, precision):
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 224, 224), dtype=np.uint8)
    rows = np.arange(3)

    def computed(device, place):
        make_repeatable(device)
        made = FrozenActivations(images, rows, "faces", weights, 4, precision, device, tmp_path / place)
        return as_tensor(np.load(made.computed())).float()

    here, again, there = computed(GPU, "a"), computed(GPU, "b"), computed(CPU, "c")
    assert torch.equal(here, again)
    scale = there.square().mean().sqrt().item()
    torch.testing.assert_close(here, there, rtol=0, atol=scale * (0.1 if precision is Precision.BF16 else 1e-3))


def test_a_session_that_is_let_go_leaves_its_memory(weights, activations):
    curve(session(weights, activations, GPU), 1)  # the libraries' own memory stays
    before = torch.cuda.memory_allocated()
    run = session(weights, activations, GPU)
    curve(run, 1)
    assert torch.cuda.memory_allocated() > before
    del run
    assert torch.cuda.memory_allocated() <= before + 2**20
