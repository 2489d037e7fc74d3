"""Half the bits: activations kept as bfloat16, and training and predictions that compute in it."""

import numpy as np
import pytest
import torch

from core.config import config_from_flat
from core.examples import BatchSource, Examples, as_tensor
from core.metrics import score
from core.names import Precision
from core.prediction import predict
from core.session import Session

CPU = torch.device("cpu")
SETTINGS = {"frozen_blocks": 5, "head_width": 16, "dropout": 0.0, "landmark_start": "mean_face", "lr": 1e-3}

KNOWN = {0x0000: 0.0, 0x3F80: 1.0, 0xC000: -2.0, 0x3F81: 1.0078125, 0x3EAA: 0.33203125, 0x42F7: 123.5}
"""Bits of bfloat16 (a sign, 8 of exponent, 7 of fraction) and what they say, by hand."""


def kept(part: Examples) -> Examples:
    """The same faces with activations as the cache keeps them in bfloat16: the upper half of each float32's bits."""
    bits = (part.inputs.view(np.uint32) >> 16).astype(np.uint16)
    return Examples(bits, part.rows, part.landmarks, part.gender)


def session(weights, parts, precision: Precision) -> Session:
    return Session(config_from_flat({**SETTINGS, "precision": str(precision)}), *parts, weights, 1, CPU)


def watched(model: torch.nn.Module) -> set[tuple[bool, int, torch.dtype]]:
    """What leaves each layer of the gender head from now on: whether in training, the layer's number, in which type."""
    seen = set()

    def hook(layer: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        seen.add((layer.training, numbers[layer], output.dtype))

    numbers = {layer: i for i, layer in enumerate(model.heads["gender"]) if isinstance(layer, torch.nn.Linear)}
    for layer in numbers:
        layer.register_forward_hook(hook)
    return seen


def test_sixteen_bits_are_read_as_the_bfloat16_that_they_are_and_in_place() -> None:
    bits = np.array(list(KNOWN), dtype=np.uint16)
    tensor = as_tensor(bits)
    assert tensor.dtype == torch.bfloat16
    assert tensor.tolist() == list(KNOWN.values())
    bits[0] = 0x7F80
    assert tensor[0] == torch.inf  # no copy: a part may be larger than memory


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_what_is_not_bfloat16_is_read_as_it_is(dtype: type) -> None:
    array = np.arange(5, dtype=dtype)
    assert as_tensor(array).dtype == torch.from_numpy(array).dtype
    assert as_tensor(array).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP32])
def test_hidden_layers_train_and_predict_in_the_precision_of_the_config_and_the_last_in_float32(
    weights, activations, precision: Precision
) -> None:
    run = session(weights, activations, precision)
    seen = watched(run.model)
    run.run_epoch()
    hidden = torch.bfloat16 if precision is Precision.BF16 else torch.float32
    assert seen == {(t, i, torch.float32 if i == 6 else hidden) for t in (True, False) for i in (0, 3, 6)}
    assert {tensor.dtype for tensor in run.learned_tensors().values()} == {torch.float32}  # what is updated stays exact


def test_training_in_bfloat16_scores_near_training_in_float32(weights, activations) -> None:
    exact = session(weights, activations, Precision.FP32)
    short = session(weights, [kept(part) for part in activations], Precision.BF16)
    for _ in range(2):
        expected, found = exact.run_epoch(), short.run_epoch()
        for name in ("train_loss", "val_loss", "val_gender_ce", "val_nme_pct", "relative_error"):
            assert found[name] == pytest.approx(expected[name], rel=0.02), name
            assert found[name] != expected[name], name
    assert found["relative_error"] < 0.9  # it learned something


def test_predictions_in_bfloat16_are_near_those_in_float32_but_not_the_same(weights, activations) -> None:
    run = session(weights, activations, Precision.FP32)
    for _ in range(4):
        run.run_epoch()
    seen = watched(run.model)
    source = BatchSource(kept(activations[1]), CPU)
    found, expected = predict(run.model, source, Precision.BF16), run.predictions
    assert seen == {(False, i, torch.float32 if i == 6 else torch.bfloat16) for i in (0, 3, 6)}
    assert found.gender_logits.dtype == found.landmarks.dtype == np.float32
    np.testing.assert_allclose(found.landmarks, expected.landmarks, atol=2.0)  # pixels
    assert not np.array_equal(found.landmarks, expected.landmarks)
    scores, exact = score(found, run.truth), score(expected, run.truth)
    for name in ("gender_ce", "nme_pct"):
        assert scores[name] == pytest.approx(exact[name], rel=0.03), name
