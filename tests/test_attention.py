import math

import pytest
import torch
from test_session import curve, session
from torch import nn
from torchvision.ops import SqueezeExcitation

from core.attention import Attention, Cbam, SelfAttention, attention_of
from core.config import config_from_flat
from core.models import unlearned
from core.names import AttentionKind, Task


def test_self_attention_is_equation_18():
    torch.manual_seed(0)
    layer, x = SelfAttention(6, 4, 4, 1), torch.rand(2, 6, 3, 3)
    positions = x.flatten(2).transpose(1, 2)
    q, k, v = layer.query(positions), layer.key(positions), layer.value(positions)
    expected = torch.softmax(q @ k.transpose(1, 2) / 2.0, dim=-1) @ v
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_several_heads_are_torchs_multi_head_attention_before_its_last_projection(heads):
    torch.manual_seed(0)
    layer, x = SelfAttention(8, 8, 8, heads), torch.rand(2, 8, 3, 3)
    theirs = nn.MultiheadAttention(8, heads, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key.weight, layer.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([layer.query.bias, layer.key.bias, layer.value.bias]))
        theirs.out_proj.weight.copy_(torch.eye(8))
        theirs.out_proj.bias.zero_()
    positions = x.flatten(2).transpose(1, 2)
    torch.testing.assert_close(layer(x), theirs(positions, positions, positions)[0])


def test_values_have_a_size_of_their_own():
    layer = SelfAttention(6, 4, 10, 2)
    assert layer.query.out_features == layer.key.out_features == 4
    assert layer(torch.rand(3, 6, 2, 2)).shape == (3, 4, 10)


def unit(x):
    return x / x.square().flatten(1).mean(1).sqrt().view(-1, *[1] * (x.ndim - 1))


def test_cbam_is_its_papers_equations_on_numbers_of_unit_scale():
    torch.manual_seed(0)
    layer, x = Cbam(32), torch.rand(2, 32, 7, 7)
    first, _, last = layer.channels
    for gate in (last, layer.positions):
        nn.init.normal_(gate.weight)
    pooled = [unit(x.flatten(2).mean(2)), unit(x.flatten(2).max(2).values)]
    channels = torch.sigmoid(sum(last(torch.relu(first(part))) for part in pooled))
    weighed = torch.einsum("bchw,bc->bchw", x, channels)
    seen = unit(torch.stack([weighed.mean(1), weighed.max(1).values], 1))
    positions = torch.sigmoid(nn.functional.conv2d(seen, layer.positions.weight, layer.positions.bias, padding=3))
    torch.testing.assert_close(layer(x), weighed * positions)


def test_squeeze_and_excitation_is_torchvisions_where_the_channels_means_have_unit_rms():
    torch.manual_seed(0)
    x, layer, theirs = torch.rand(2, 512, 7, 7), Attention(AttentionKind.SE).module(), SqueezeExcitation(512, 32)
    for ours, other in ((layer.channels[0], theirs.fc1), (layer.channels[2], theirs.fc2)):
        nn.init.normal_(ours.weight, std=0.1)
        other.load_state_dict({"weight": ours.weight[:, :, None, None], "bias": ours.bias})
    x = x / x.mean(dim=(2, 3), keepdim=True).square().mean(dim=1, keepdim=True).sqrt()
    torch.testing.assert_close(layer(x), theirs(x))
    torch.testing.assert_close(layer(50 * x), 50 * theirs(x))  # gates see no scale


@pytest.mark.parametrize("kind", [AttentionKind.SE, AttentionKind.CBAM])
@pytest.mark.parametrize("scale", [0.1, 6.0, 120.0])
def test_gates_begin_open_at_any_scale_of_the_features(kind, scale):
    x = scale * torch.rand(2, 512, 7, 7)
    shares = Attention(kind).module()(x) / x
    passed = 1 / (1 + math.exp(-2))
    torch.testing.assert_close(shares, torch.full_like(x, passed if kind is AttentionKind.SE else passed**2))


def test_with_rms_weights_are_those_of_unit_features_whatever_the_scale_and_values_are_not():
    torch.manual_seed(0)
    plain, rms, x = SelfAttention(6, 4, 5, 2), SelfAttention(6, 4, 5, 2, rms=True), 50 * torch.rand(2, 6, 3, 3)
    rms.load_state_dict(plain.state_dict())
    nn.init.zeros_(plain.value.bias)
    nn.init.zeros_(rms.value.bias)
    scale = x.flatten(1).square().mean(1).sqrt()
    torch.testing.assert_close(rms(x), plain(unit(x)) * scale[:, None, None])


def test_on_features_as_vggs_the_papers_queries_start_on_one_position_and_those_of_unit_rms_on_most():
    """Sparse features of a root mean square of 6, as block 5 gives them; weights over the 49 positions."""
    torch.manual_seed(0)
    x = unit(torch.rand(16, 512, 7, 7).pow(2) * (torch.rand(16, 512, 7, 7) < 0.06)) * 6
    spread = []
    for rms in (False, True):
        layer = SelfAttention(512, 256, 256, 1, rms)
        with torch.no_grad():
            layer.value = Positions()
            weights = layer(x)  # of each query, over the positions
        spread.append(float(1 / weights.square().sum(2).mean()))  # as many positions, if they weighed the same
    assert spread[0] < 5
    assert spread[1] > 40


@pytest.mark.parametrize(("kind", "blind"), [("self", False), ("self_rms", True)])
def test_only_the_kind_of_unit_scale_weighs_positions_alike_whatever_the_scale_of_features(kind, blind):
    torch.manual_seed(0)
    layer, x = Attention(AttentionKind(kind), 16, 16).module(), torch.rand(2, 512, 7, 7)
    with torch.no_grad():
        layer.value.bias.zero_()
        assert torch.allclose(layer(50 * x), 50 * layer(x), rtol=1e-3, atol=1e-3) is blind


class Positions(nn.Module):
    """Values by which each position is told from the others."""

    def forward(self, x):
        return torch.eye(x.shape[1]).expand(len(x), -1, -1)


@pytest.mark.parametrize(
    ("settings", "gender", "landmarks"),
    [
        ({"d_k": 64}, (64, 64), (64, 64)),
        ({"d_k": 64, "d_k_landmarks": 32}, (64, 64), (32, 64)),
        ({"d_k": 64, "d_v": 16}, (64, 16), (64, 16)),
        ({"d_k": 64, "d_k_landmarks": 32, "d_v": 16, "attention_heads": 4}, (64, 16), (32, 16)),
    ],
)
def test_each_task_has_the_sizes_that_the_config_says(settings, gender, landmarks):
    found = attention_of(config_from_flat(settings).model)
    assert (found[Task.GENDER].d_k, found[Task.GENDER].d_v) == gender
    assert (found[Task.LANDMARKS].d_k, found[Task.LANDMARKS].d_v) == landmarks
    heads = settings.get("attention_heads", 1)
    assert [found[task].heads for task in Task] == [heads, heads]
    assert found[Task.GENDER].module().heads == heads


@pytest.mark.parametrize("heads", range(1, 9))
@pytest.mark.parametrize("d_k", [1, 7, 48])
def test_any_size_can_be_divided_among_any_heads_and_the_complete_head_fits(d_k, heads):
    shape = Attention(AttentionKind.SELF, d_k, d_k, heads)
    assert shape.module()(torch.rand(1, 512, 7, 7)).shape == (1, 49, shape.channels())
    assert shape.channels() <= max(d_k, heads)


@pytest.mark.parametrize("kind", AttentionKind)
def test_every_kind_of_attention_trains_and_gives_both_outputs(weights, activations, kind):
    settings = {"architecture": "attention", "attention": kind, "d_k": 16, "d_k_landmarks": 8, "attention_heads": 2}
    run = session(weights, activations, **settings)
    rows = curve(run, 4)
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert any(name.startswith("attention.landmarks.") for name in run.learned_tensors())
    shapes = {task: out.shape for task, out in run.model(torch.rand(2, 512, 7, 7)).items()}
    assert shapes == {Task.GENDER: (2, 2), Task.LANDMARKS: (2, 5, 2)}
    model = unlearned(run.config.model)
    assert {name: t.shape for name, t in model.learned_tensors().items()} == {
        name: t.shape for name, t in run.learned_tensors().items()
    }
