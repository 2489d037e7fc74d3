import pytest
import torch
from test_session import curve, session
from torch import nn

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


def test_cbam_is_its_papers_equations():
    torch.manual_seed(0)
    layer, x = Cbam(32), torch.rand(2, 32, 7, 7)
    first, _, last = layer.channels
    pooled = [x.flatten(2).mean(2), x.flatten(2).max(2).values]
    channels = torch.sigmoid(sum(last(torch.relu(first(part))) for part in pooled))
    weighed = torch.einsum("bchw,bc->bchw", x, channels)
    seen = torch.stack([weighed.mean(1), weighed.max(1).values], 1)
    positions = torch.sigmoid(nn.functional.conv2d(seen, layer.positions.weight, layer.positions.bias, padding=3))
    torch.testing.assert_close(layer(x), weighed * positions)


def test_squeeze_and_excitation_weighs_each_channel_by_one_number():
    torch.manual_seed(0)
    x = torch.rand(2, 512, 7, 7) + 0.1
    shares = (Attention(AttentionKind.SE).module()(x) / x).detach()
    assert shares.flatten(2).std(2).max() < 1e-5
    assert float(shares.min()) > 0
    assert float(shares.max()) < 1
    assert float(shares.std()) > 1e-3


@pytest.mark.parametrize(
    ("settings", "gender", "landmarks"),
    [
        ({"d_k": 64}, (64, 64), (64, 64)),
        ({"d_k": 64, "d_k_landmarks": 32}, (64, 64), (32, 32)),
        ({"d_k": 64, "d_v": 16}, (64, 16), (64, 16)),
        ({"d_k": 64, "d_k_landmarks": 32, "d_v": 16, "attention_heads": 4}, (64, 16), (32, 16)),
    ],
)
def test_each_task_has_the_sizes_that_the_config_says(settings, gender, landmarks):
    found = attention_of(config_from_flat(settings).model)
    assert (found[Task.GENDER].d_k, found[Task.GENDER].d_v) == gender
    assert (found[Task.LANDMARKS].d_k, found[Task.LANDMARKS].d_v) == landmarks


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
