import numpy as np
import pytest
import torch
from torch import nn, optim
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import vgg16

from benchmarks.step import chosen_cases, parsed, recorded
from benchmarks.step_case import Case, Effort
from benchmarks.step_limits import Limits
from benchmarks.step_training import TrainingStep, whole_step
from benchmarks.step_variants import EACH_ALONE, FORMS, MEANING, Change, Variant, obstacle, parse_variant
from benchmarks.step_work import STATES, Product, learned_parameters, optimizer_bytes, products, products_seconds
from core.config import config_from_flat
from core.errors import UserError
from core.examples import Examples
from core.models import FaceModel, unlearned
from core.names import Architecture, Optimizer, Precision
from core.optimizers import OPTIMIZERS, build_optimizer
from core.prediction import frozen_input
from core.session import Session
from core.vgg import block_output_shape

CPU = torch.device("cpu")
SETTINGS = {"frozen_blocks": 5, "head_width": 16, "precision": "fp32", "landmark_start": "mean_face", "lr": 1e-3}
SAME = {"dropout": 0.0, "batch_size": 60}  # all faces in one batch: their order does not matter


def faces_model(architecture: Architecture, blocks: int, width: int) -> FaceModel:
    settings = {"architecture": architecture, "frozen_blocks": blocks, "head_width": width}
    return unlearned(config_from_flat(settings).model)


def model_of(architecture: Architecture, blocks: int, width: int) -> FaceModel:
    with torch.device("meta"):
        return faces_model(architecture, blocks, width).to("meta")


def counted_macs(architecture: Architecture, blocks: int, width: int, inputs: torch.Tensor) -> int:
    """What torch counts in a step without computing it; a multiply-add is two operations."""
    model, counter = faces_model(architecture, blocks, width), FlopCounterMode(display=False)
    with FakeTensorMode(allow_non_fake_inputs=True), sdpa_kernel(SDPBackend.MATH), counter:
        outputs = model(frozen_input(model, inputs))
        sum(output.sum() for output in outputs.values()).backward()
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("blocks", range(6))
@pytest.mark.parametrize("architecture", [Architecture.GENDER, Architecture.MULTITASK, Architecture.ATTENTION])
def test_multiply_adds_of_a_step_are_those_that_torch_counts(architecture, blocks):
    expected = counted_macs(architecture, blocks, 24, torch.empty(2, *block_output_shape(blocks)))
    found = products(model_of(architecture, blocks, 24), from_faces=blocks == 0)
    assert 2 * sum(p.macs * p.passes for p in found) == expected


@pytest.mark.parametrize("blocks", [1, 4, 5])
def test_blocks_frozen_but_not_cached_cost_their_forward_pass(blocks):
    expected = counted_macs(Architecture.GENDER, blocks, 24, torch.empty(1, 3, 224, 224, dtype=torch.uint8))
    found = products(model_of(Architecture.GENDER, blocks, 24), from_faces=True)
    assert sum(p.macs * p.passes for p in found) == expected


def test_a_face_costs_what_torch_counts_for_torchvisions_vgg16():
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), counter, torch.no_grad():
        vgg16(init_weights=False)(torch.empty(1, 3, 224, 224))
    ours = sum(p.macs for p in products(model_of(Architecture.GENDER, 0, 4096), from_faces=True))
    assert ours - 4096 * 2 + 4096 * 1000 == counter.get_total_flops() // 2  # their last layer has 1000 outputs


def test_the_convolutions_alone_are_15_3_billion_multiply_adds_a_face():
    layers = [(3, 64, 224), (64, 64, 224), (64, 128, 112), (128, 128, 112), (128, 256, 56), *[(256, 256, 56)] * 2]
    layers += [(256, 512, 28), *[(512, 512, 28)] * 2, *[(512, 512, 14)] * 3]
    expected = sum(9 * c * k * side**2 for c, k, side in layers)
    heads = 25088 * 4096 + 4096 * 4096 + 4096 * 2
    ours = products(model_of(Architecture.GENDER, 0, 4096), from_faces=True)
    assert sum(p.macs for p in ours) - heads == expected == 15_346_630_656


@pytest.mark.parametrize("architecture", Architecture)
def test_learned_parameters_are_those_of_the_modules_that_learn(architecture):
    model = model_of(architecture, 4, 512)
    learned = nn.ModuleList([model.features[24:], model.attention, model.heads])
    assert learned_parameters(model) == sum(p.numel() for p in learned.parameters())


def test_an_adamax_step_of_the_papers_multitask_model_moves_7_1_gigabytes():
    # read p, g, m, u and write p, m, u: seven numbers of four bytes for each of 253,855,564 parameters
    assert learned_parameters(model_of(Architecture.MULTITASK, 0, 4096)) == 253_855_564
    assert optimizer_bytes(Optimizer.ADAMAX, 253_855_564) == 7 * 4 * 253_855_564
    assert optimizer_bytes(Optimizer.ADAM, 10) == 280
    assert optimizer_bytes(Optimizer.ADAGRAD, 10) == optimizer_bytes(Optimizer.RMSPROP, 10) == 200


@pytest.mark.parametrize("kind", Optimizer)
def test_an_optimiser_remembers_as_many_numbers_as_we_count(kind):
    parameter = nn.Parameter(torch.ones(3, 4))
    optimizer = build_optimizer(kind, [parameter], 0.1, CPU)
    parameter.sum().backward()
    optimizer.step()
    states = [value for value in optimizer.state[parameter].values() if value.shape == parameter.shape]
    assert len(states) == STATES[kind]


def test_a_product_takes_its_arithmetic_or_moving_its_weights_whichever_is_longer():
    limits = Limits({Precision.FP32: 1000.0}, bytes_per_second=100.0)
    convolution = Product(macs=500, weights=10, weight_gradient=True, input_gradient=False)
    head = Product(macs=50, weights=50, weight_gradient=True, input_gradient=True)
    # batch 2: 2 passes of 1000 / 1000 s over 40 / 100 s; 3 passes of 200 / 100 s over 100 / 1000 s
    assert products_seconds([convolution, head], 2, limits, Precision.FP32) == pytest.approx(2 * 1.0 + 3 * 2.0)


def session_of(weights, activations, precision="fp32", device=CPU, **settings) -> Session:
    config = config_from_flat({**SETTINGS, **SAME, "precision": precision, **settings})
    return Session(config, *activations, weights, 1, device)


def losses(weights, activations, variant: str, optimizer: str = "adamax", steps: int = 3) -> list[float]:
    parsed_variant = parse_variant(variant)
    session = session_of(weights, activations, parsed_variant.precision, optimizer=optimizer)
    step = whole_step(TrainingStep(session, parsed_variant))
    return [float(step()) for _ in range(steps)]


def session_losses(weights, activations, optimizer: str = "adamax", steps: int = 3, **settings) -> list[float]:
    session = session_of(weights, activations, optimizer=optimizer, **settings)
    return [session.run_epoch()["train_loss"] for _ in range(steps)]


@pytest.fixture(scope="module")
def expected(weights, activations) -> dict[Optimizer, list[float]]:
    """The session's own losses, three epochs of one batch with each optimiser."""
    return {optimizer: session_losses(weights, activations, optimizer) for optimizer in Optimizer}


@pytest.mark.parametrize("optimizer", Optimizer)
@pytest.mark.parametrize("variant", ["fp32", "fp32+loop", "fp32+foreach", "fp32+fused", "fp32+no-copy"])
def test_every_variant_trains_as_the_session_does(weights, activations, expected, variant, optimizer):
    if obstacle(parse_variant(variant), optimizer, 5, CPU):
        pytest.skip("no such form of this optimiser")
    first, _, third = expected[optimizer]
    assert first != pytest.approx(third, rel=1e-3)  # it learns: the update is compared too
    assert losses(weights, activations, variant, optimizer) == pytest.approx(expected[optimizer], rel=1e-5)


def test_bfloat16_trains_as_the_session_does_to_its_rounding(weights, activations, expected):
    assert losses(weights, activations, "bf16") == pytest.approx(expected[Optimizer.ADAMAX], rel=2e-2)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["fp32+compile", "fp32+compiled-update"])
def test_compiled_steps_train_as_the_session_does(weights, activations, expected, variant):
    try:
        found = losses(weights, activations, variant)
    except torch._dynamo.exc.BackendCompilerFailed as error:
        pytest.skip(f"no compiler here: {str(error).splitlines()[0]}")
    assert found == pytest.approx(expected[Optimizer.ADAMAX], rel=1e-5)


def part_of_faces() -> Examples:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, 3, 224, 224), dtype=np.uint8)
    landmarks = random.uniform(60, 160, (2, 5, 2)).astype(np.float32)
    return Examples(images, np.arange(2), landmarks, np.arange(2))


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "blocks"), [("fp32", 4), ("fp32+contiguous", 0), ("fp32+uncached", 3)])
def test_convolutions_train_as_the_sessions_do(weights, variant, blocks):
    parts = (part_of_faces(), part_of_faces())
    settings = {"frozen_blocks": blocks, "batch_size": 2, "lr": 1e-5}
    session = session_of(weights, parts, **settings)
    step = TrainingStep(session, parse_variant(variant))
    expected = session_losses(weights, parts, steps=2, **settings)
    assert [float(step()), float(step())] == pytest.approx(expected, rel=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
@pytest.mark.parametrize("optimizer", [kind for kind in Optimizer if kind is not Optimizer.ADAGRAD])
def test_a_cuda_graph_trains_as_the_plain_step_does(weights, activations, optimizer):
    device = torch.device("cuda")
    plain, graphed = (
        TrainingStep(session_of(weights, activations, device=device, optimizer=optimizer), parse_variant(variant))
        for variant in ("fp32", "fp32+graph")
    )
    replay = whole_step(graphed)
    first = [float(plain()) for _ in range(6)]
    assert [float(replay()) for _ in range(3)] == pytest.approx(
        first[3:], rel=1e-3
    )  # capture had three steps of its own


def test_the_parts_of_a_step_are_the_whole(weights, activations):
    whole, parts = (TrainingStep(session_of(weights, activations), Variant(Precision.FP32)) for _ in range(2))
    for _ in range(3):
        loss = parts.forward(parts.gather())
        loss.backward()
        parts.update()
        assert float(loss.detach()) == float(whole())


def test_batches_are_full_and_go_round(weights, activations):
    session = session_of(weights, activations, batch_size=25)
    step = TrainingStep(session, Variant(Precision.FP32))
    first, second, third = (step.gather().inputs for _ in range(3))
    assert len(first) == len(second) == 25
    assert not torch.equal(first, second)
    assert torch.equal(first, third)


def test_a_batch_larger_than_the_training_set_is_refused(weights, activations):
    with pytest.raises(UserError, match="a batch of 61 needs as many training faces, there are 60"):
        TrainingStep(session_of(weights, activations, batch_size=61), Variant(Precision.FP32))


def test_variants_are_parsed_and_printed_in_one_form():
    variant = parse_variant("bf16+no-copy+foreach")
    assert variant == Variant(Precision.BF16, frozenset({Change.FOREACH, Change.NO_COPY}))
    assert str(variant) == "bf16+foreach+no-copy"
    assert [str(parse_variant(text)) for text in EACH_ALONE] == list(EACH_ALONE)
    assert set(MEANING) == set(Change)


@pytest.mark.parametrize("text", ["fp16", "", "fp32+", "bf16+fast", "foreach", "auto", "fp32+loop+foreach"])
def test_a_variant_that_makes_no_sense_is_refused(text):
    with pytest.raises(UserError, match="got"):
        parse_variant(text)


@pytest.mark.parametrize("kind", Optimizer)
def test_torch_takes_every_form_of_an_optimiser_that_has_no_obstacle(kind):
    for change in FORMS:
        if not obstacle(Variant(Precision.FP32, frozenset({change})), kind, 0, CPU):
            assert isinstance(OPTIMIZERS[kind]([nn.Parameter(torch.ones(1))], **FORMS[change]), optim.Optimizer)


def test_quick_leaves_few_rows_and_every_model():
    cases = chosen_cases(parsed(["--quick"]))
    assert len(cases) == 4 * 2 + 2
    assert {case.model for case in cases} == set(Architecture)
    assert {str(case.variant) for case in cases if case.frozen_blocks == 0} == {"fp32", "bf16"}
    assert {case.head_width for case in cases} == {512}
    with pytest.raises(UserError, match="--quick keeps"):
        chosen_cases(parsed(["--quick", "--variants", "bf16+graph"]))


def test_what_cannot_run_here_is_a_row_that_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.step.RESULTS", tmp_path)
    monkeypatch.setattr("benchmarks.step.device_at_hand", lambda: CPU)
    case = Case(Architecture.GENDER, 5, 16, Optimizer.ADAMAX, parse_variant("bf16+graph"))
    row = recorded(case, Effort(15, 1, 1, 40, tmp_path), quick=False)
    assert row["not_measured"] == "CUDA graphs need a GPU"
    assert "CUDA graphs need a GPU" in capsys.readouterr().out
    assert "CUDA graphs need a GPU" in (tmp_path / "step.csv").read_text(encoding="utf-8")
