import pytest
import torch
from torch import nn
from torchvision.models import vgg16

from core.attention import Attention
from core.config import config_from_flat
from core.models import FaceModel, build_model, parameter_count, unlearned
from core.names import Architecture, AttentionKind, LandmarkStart, Task
from core.vgg import BLOCK_ENDS, block_output_shape, normalised, vgg16_features
from core.weights import Weights

HIDDEN = {
    "classifier.0.weight": torch.full((16, 25088), 0.5),
    "classifier.0.bias": torch.full((16,), 0.25),
    "classifier.3.weight": torch.full((16, 16), 0.125),
    "classifier.3.bias": torch.full((16,), 2.0),
}
"""ImageNet's hidden layers, as they would be with 16 units."""


def build(weights, architecture, frozen_blocks=5, width=16, start=LandmarkStart.TORCH, d_k=8, **options):
    mean_face = torch.arange(10.0).reshape(5, 2) / 10
    settings = {"architecture": architecture, "frozen_blocks": frozen_blocks, "head_width": width, "d_k": d_k}
    return build_model(config_from_flat({**settings, "landmark_start": start, **options}).model, weights, mean_face)


def test_the_papers_multitask_model_has_the_parameters_of_two_complete_vgg_heads():
    with torch.device("meta"):
        model, vgg = FaceModel(Architecture.MULTITASK, 0, 4096, 0.5, {}), vgg16()
    features, hidden = (sum(p.numel() for p in part.parameters()) for part in (vgg.features, vgg.classifier[:6]))
    outputs = sum(4096 * count + count for count in (2, 10))
    assert parameter_count(model) == features + 2 * hidden + outputs == 253_855_564  # worked out from the layer sizes


@pytest.mark.parametrize("architecture", Architecture)
def test_every_architecture_gives_its_tasks_outputs(weights, architecture):
    outputs = build(weights, architecture)(torch.rand(3, 512, 7, 7))
    shapes = {task: tuple(output.shape) for task, output in outputs.items()}
    expected = {Task.GENDER: (3, 2), Task.LANDMARKS: (3, 5, 2)}
    assert shapes == {task: expected[task] for task in shapes}
    assert (Task.GENDER in shapes) == (architecture != Architecture.LANDMARKS)
    assert (Task.LANDMARKS in shapes) == (architecture != Architecture.GENDER)


def test_the_input_of_an_attention_head_shrinks_with_d_k(weights):
    head = build(weights, Architecture.ATTENTION, d_k=24).heads["gender"]
    assert isinstance(head, nn.Sequential)
    assert head[0].in_features == 49 * 24


def test_the_mean_face_start_predicts_the_mean_face_for_any_input(weights):
    model = build(weights, Architecture.LANDMARKS, start=LandmarkStart.MEAN_FACE).eval()
    predicted = model(torch.randn(4, 512, 7, 7))[Task.LANDMARKS]
    torch.testing.assert_close(predicted, (torch.arange(10.0).reshape(5, 2) / 10).expand(4, 5, 2))


CONVOLUTIONS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""The layers of VGG-16's five blocks that have weights."""


@pytest.mark.parametrize("architecture", [Architecture.GENDER, Architecture.LANDMARKS])
@pytest.mark.parametrize("frozen", range(6))
def test_frozen_blocks_learn_nothing_and_every_layer_of_the_others_does(weights, architecture, frozen):
    learned = build(weights, architecture, frozen, width=4).learned_tensors()
    layers = [layer for block in CONVOLUTIONS[frozen:] for layer in block]
    expected = {f"features.{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    assert {name for name in learned if name.startswith("features")} == expected
    assert any(name.startswith("heads") for name in learned)


@pytest.mark.parametrize("architecture", [Architecture.LANDMARKS, Architecture.MULTITASK])
def test_a_block_that_no_head_looks_at_learns_nothing(architecture):
    settings = {"architecture": architecture, "frozen_blocks": 3, "landmark_head": "heatmap", "heatmap_block": 4}
    model = unlearned(config_from_flat({**settings, "head_width": 4}).model)
    layers = {int(name.split(".")[1]) for name in model.learned_tensors() if name.startswith("features")}
    block_4, block_5 = {17, 19, 21}, {24, 26, 28}
    assert layers == (block_4 if architecture is Architecture.LANDMARKS else block_4 | block_5)


def test_frozen_and_learning_part_together_are_torchvisions_vgg(weights):
    with torch.device("meta"):
        reference = vgg16().features
    reference = reference.to_empty(device="cpu")
    reference.load_state_dict(weights.features)
    images = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    model = build(weights, Architecture.GENDER, frozen_blocks=3)
    with torch.no_grad():
        ours = model.features[model.split :](model.frozen_features(images))
        scaled = images / 255
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        theirs = reference((scaled - mean[:, None, None]) / std[:, None, None])
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.max()))


@pytest.mark.parametrize("blocks", range(6))
def test_the_shape_after_each_block_is_what_the_layers_give(blocks):
    x = torch.empty(1, 3, 224, 224, device="meta")
    assert tuple(vgg16_features("meta")[: BLOCK_ENDS[blocks]](x).shape[1:]) == block_output_shape(blocks)


def test_normalised_white_is_one_minus_mean_over_std():
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    expected = torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    torch.testing.assert_close(normalised(white)[0, :, 0, 0], expected)


def test_imagenets_hidden_layers_start_the_heads_where_they_fit(weights):
    with_head = Weights({**weights.tensors, **HIDDEN}, "", "")
    head = build(with_head, Architecture.MULTITASK).heads["landmarks"]
    assert isinstance(head, nn.Sequential)
    assert bool((head[0].weight == 0.5).all())
    assert bool((head[3].bias == 2.0).all())
    narrower = build(with_head, Architecture.MULTITASK, width=8).heads["landmarks"]
    assert isinstance(narrower, nn.Sequential)
    assert not bool((narrower[0].weight == 0.5).any())


def test_imagenets_hidden_layers_never_start_a_head_behind_self_attention(weights):
    with_head = Weights({**weights.tensors, **HIDDEN}, "", "")
    model = FaceModel(Architecture.ATTENTION, 5, 16, 0.5, dict.fromkeys(Task, Attention(d_k=512)))
    assert model.heads["gender"][0].weight.shape == (16, 25088)  # the very shape that ImageNet's has
    head = build(with_head, Architecture.ATTENTION, d_k=512).heads["gender"]
    assert isinstance(head, nn.Sequential)
    for layer, name in ((0, "classifier.0"), (3, "classifier.3")):
        assert not torch.equal(head[layer].weight, HIDDEN[f"{name}.weight"])
        assert not torch.equal(head[layer].bias, HIDDEN[f"{name}.bias"])


@pytest.mark.parametrize("kind", [AttentionKind.SE, AttentionKind.CBAM])
def test_they_do_start_one_behind_weighed_channels_which_stand_as_imagenets_do(weights, kind):
    with_head = Weights({**weights.tensors, **HIDDEN}, "", "")
    head = build(with_head, Architecture.ATTENTION, attention=kind).heads["gender"]
    assert torch.equal(head[0].weight, HIDDEN["classifier.0.weight"])


def test_under_autocast_landmarks_come_out_in_float32(weights):
    model = build(weights, Architecture.LANDMARKS).eval()
    with torch.no_grad():
        model.heads["landmarks"][-1].bias.fill_(0.7001)
        with torch.autocast("cpu", torch.bfloat16):
            landmarks = model(torch.zeros(1, 512, 7, 7))["landmarks"]
    assert landmarks.dtype == torch.float32
    assert not torch.equal(landmarks, landmarks.bfloat16().float())
