import pytest
import torch
from finished_run import tiny_model
from test_session import curve, session

from core.config import config_from_flat
from core.errors import UserError
from core.heatmap import HeatmapHead, expectation, places
from core.names import CROP, AttentionKind, LandmarkStart, Optimizer, Task
from core.optimizers import build_optimizer

FACE = torch.tensor([[80.0, 100], [144, 100], [112, 140], [88, 170], [136, 170]]) / CROP


def test_places_are_the_centres_of_the_pixels_that_a_position_covers():
    pixels = torch.arange(CROP, dtype=torch.float64).reshape(14, 16).mean(dim=1)  # 16 pixels each
    torch.testing.assert_close(places(14), (pixels / CROP).float())


def test_a_map_that_knows_one_position_gives_its_centre():
    maps = torch.full((1, 5, 14, 28), -1e4)
    for landmark in range(5):
        maps[0, landmark, 2 * landmark, 3 * landmark] = 1e4
    expected = [(3 * k * 8 + 3.5, 2 * k * 16 + 7.5) for k in range(5)]  # x of 28 positions, y of 14
    torch.testing.assert_close(expectation(maps)[0] * CROP, torch.tensor(expected))


def test_between_positions_it_is_their_mean_by_probability():
    maps = torch.full((1, 5, 7, 7), -1e4)
    maps[:, :, 3, 2] = 0.0
    maps[:, :, 3, 3] = torch.tensor(3.0).log()  # three times as likely as its neighbour
    x, y = (expectation(maps)[0, 0] * CROP).tolist()
    assert x == pytest.approx(0.25 * (2 * 32 + 15.5) + 0.75 * (3 * 32 + 15.5), abs=1e-3)
    assert y == pytest.approx(3 * 32 + 15.5, abs=1e-3)


@pytest.mark.parametrize("side", [7, 14])
def test_it_starts_at_the_mean_face_whatever_it_sees(side):
    head = HeatmapHead(16, side, 0.5).eval()
    head.start_at(FACE)
    torch.testing.assert_close(head(torch.randn(3, 16, side, side)), FACE.expand(3, 5, 2), atol=1e-5, rtol=0)


def test_a_mean_face_near_the_edge_is_met_too():
    head = HeatmapHead(16, 7, 0.0).eval()
    edge = torch.tensor([[0.05, 0.06], [0.94, 0.05], [0.5, 0.5], [0.05, 0.94], [0.93, 0.94]])
    head.start_at(edge)
    torch.testing.assert_close(head(torch.randn(1, 16, 7, 7))[0], edge, atol=2e-3, rtol=0)


def test_from_the_mean_face_it_learns_where_a_bright_spot_is():
    torch.manual_seed(0)
    head = HeatmapHead(8, 7, 0.0)
    head.start_at(FACE)
    optimizer = build_optimizer(Optimizer.ADAM, head.parameters(), 1e-3, torch.device("cpu"))
    features, truth = torch.zeros(49, 8, 7, 7), torch.empty(49, 5, 2)
    for k in range(49):
        row, column = divmod(k, 7)
        features[k, :, row, column] = 3.0
        truth[k] = torch.tensor([places(7)[column], places(7)[row]])
    for _ in range(60):
        optimizer.zero_grad()
        loss = (head(features) - truth).abs().mean()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.05  # 11 pixels; the mean face is 50 off
    assert float((FACE - truth).abs().mean()) > 0.2


@pytest.mark.parametrize(
    "settings",
    [
        {"architecture": "landmarks"},
        {"architecture": "multitask"},
        *({"architecture": "attention", "attention": kind, "d_k": 16, "attention_heads": 2} for kind in AttentionKind),
    ],
)
@pytest.mark.parametrize("start", LandmarkStart)
def test_every_model_with_landmarks_trains_with_it(weights, activations, settings, start):
    run = session(weights, activations, landmark_head="heatmap", landmark_start=start, lambda2=20, **settings)
    rows = curve(run, 4)
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    if start is LandmarkStart.MEAN_FACE and settings["architecture"] == "landmarks":
        assert rows[0]["relative_error"] < 1.2  # nothing is thrown off on the way from the baseline
    again = tiny_model(run.config, 0)
    assert {n: t.shape for n, t in again.learned_tensors().items()} == {
        n: t.shape for n, t in run.learned_tensors().items()
    }


def test_gender_models_have_no_use_for_it(weights, activations):
    settings = {"architecture": "gender"}
    plain = curve(session(weights, activations, **settings), 2)
    assert curve(session(weights, activations, landmark_head="heatmap", **settings), 2) == plain


@pytest.mark.parametrize(("frozen_blocks", "shape"), [(4, (512, 14, 14)), (3, (256, 28, 28))])
def test_from_block_4_it_sees_four_times_as_many_positions_and_gender_still_sees_block_5(frozen_blocks, shape):
    config = config_from_flat(
        {"frozen_blocks": frozen_blocks, "head_width": 8, "landmark_head": "heatmap", "heatmap_block": 4}
    )
    model = tiny_model(config, 0)
    torch.nn.init.normal_(model.features[28].weight, std=0.01)
    outputs = model(torch.rand(2, *shape))
    assert outputs[Task.GENDER].shape == (2, 2)
    assert outputs[Task.LANDMARKS].shape == (2, 5, 2)
    assert model.heads[Task.LANDMARKS].usual.shape == (5, 28, 28)


def test_block_4_behind_five_frozen_blocks_is_a_clear_error():
    with pytest.raises(UserError, match="heatmap_block 4 needs frozen_blocks of at most 4, got 5"):
        config_from_flat({"frozen_blocks": 5, "landmark_head": "heatmap", "heatmap_block": 4})
    config_from_flat({"frozen_blocks": 5, "heatmap_block": 4})  # plain regression has no use for it
    config_from_flat({"frozen_blocks": 5, "landmark_head": "heatmap", "heatmap_block": 4, "architecture": "gender"})


def test_under_autocast_landmarks_come_out_in_float32():
    config = config_from_flat({"frozen_blocks": 5, "head_width": 8, "landmark_head": "heatmap"})
    model = tiny_model(config, 0).eval()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert model(torch.rand(2, 512, 7, 7))[Task.LANDMARKS].dtype == torch.float32


def test_it_sees_positions_where_they_are_also_in_rows_as_attention_gives_them_and_at_any_scale():
    torch.manual_seed(0)
    head, features = HeatmapHead(16, 7, 0.0).eval(), torch.randn(2, 16, 7, 7)
    with torch.no_grad():
        expected = head(features)
        torch.testing.assert_close(head(features.flatten(2).transpose(1, 2)), expected)
        torch.testing.assert_close(head(50 * features), expected, atol=1e-4, rtol=0)
    assert expected.std(dim=0).max() > 1e-3  # it does not say the same of everything
