import re
from pathlib import Path

import numpy as np
import pytest
import torch

from core.augmentation import (
    MOST_DEGREES,
    MOST_LIGHT,
    MOST_SCALE,
    MOST_SHIFT,
    Augmentation,
    ChangedFaces,
    Changes,
    augmentation_of,
    changed_images,
    changed_landmarks,
    draw_changes,
)
from core.config import config_from_flat

STRONG = Augmentation(1.0, True, 8)


def changes(count=1, **given):
    """Nothing but what is given."""
    plain = {
        "mirrored": np.zeros(count, dtype=bool),
        "degrees": np.zeros(count),
        "scale": np.ones(count),
        "shift": np.zeros((count, 2)),
        "contrast": np.ones(count),
        "brightness": np.ones(count),
        "cover": np.zeros((count, 4)),
    }
    return Changes(**{**plain, **given})


def spots(places):
    """A dark picture with a soft bright spot at each place, in pixels: one channel a place, three at most."""
    x = torch.arange(224.0)
    bells = [torch.exp(-((x - px) ** 2) / 32)[None, :] * torch.exp(-((x - py) ** 2) / 32)[:, None] for px, py in places]
    return (torch.stack(bells)[None] * 255).round().to(torch.uint8)


def brightest(images):
    """Centres of gravity (x, y) of each channel, in pixels."""
    light = images[0].double()
    x = torch.arange(224.0, dtype=torch.float64)
    whole = light.sum(dim=(1, 2))
    return torch.stack([(light.sum(dim=1) * x).sum(dim=1) / whole, (light.sum(dim=2) * x).sum(dim=1) / whole], dim=1)


def test_the_strongest_changes_are_those_that_the_docs_tell():
    page = (Path(__file__).parents[1] / "docs" / "searching.md").read_text(encoding="utf-8")
    told = re.search(
        r"turned by up to (\S+) degrees, scaled by up to (\S+), shifted by up to (\S+) % of the crop", page
    )
    assert (MOST_DEGREES, MOST_SCALE, 100 * MOST_SHIFT) == tuple(map(float, told.groups())) == (15, 1.15, 8)
    assert MOST_LIGHT == 1.35


@pytest.mark.parametrize(
    "given",
    [{"degrees": np.array([15.0])}, {"scale": np.array([0.87])}, {"shift": np.array([[0.08, 0.08]])}],
    ids=["turned", "smaller", "shifted"],
)
def test_what_comes_in_over_the_edge_is_the_picture_reflected(given):
    grey = torch.full((1, 3, 224, 224), 200, dtype=torch.uint8)
    assert changed_images(grey, changes(**given)).unique().tolist() == [200]


def test_a_shift_by_16_pixels_shows_the_first_16_columns_mirrored():
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 224, 224), dtype=np.uint8))
    moved = changed_images(image, changes(shift=np.array([[16 / 224, 0.0]])))
    assert (moved[..., :16].int() - image[..., :16].flip(-1).int()).abs().max() <= 1
    assert (moved[..., 16:].int() - image[..., :-16].int()).abs().max() <= 1


def test_mirroring_swaps_left_and_right_and_pixel_0_with_223():
    image = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    image[..., 0] = 1
    landmarks = torch.tensor([[[0, 10], [223, 20], [100, 30], [50, 40], [150, 50]]]) / 224
    mirror = Changes(np.array([True]))
    assert bool((changed_images(image, mirror)[..., 223] == 1).all())
    expected = torch.tensor([[[0, 20], [223, 10], [123, 30], [73, 50], [173, 40]]]) / 224
    torch.testing.assert_close(changed_landmarks(landmarks, mirror), expected)
    assert changed_images(image, Changes(np.array([False]))).equal(image)


@pytest.mark.parametrize(
    "given",
    [
        {"degrees": np.array([15.0])},
        {"degrees": np.array([-11.0]), "scale": np.array([1.15])},
        {"scale": np.array([0.87])},
        {"shift": np.array([[0.08, -0.05]])},
        {"degrees": np.array([8.0]), "scale": np.array([0.9]), "shift": np.array([[-0.06, 0.07]])},
        {"degrees": np.array([8.0]), "shift": np.array([[-0.06, 0.07]]), "mirrored": np.array([True])},
        {},
    ],
)
def test_landmarks_go_where_the_picture_takes_what_was_there(given):
    places = np.array([[80.0, 90.0], [150.0, 100.0], [100.0, 160.0]])
    made = changes(**given)
    said = changed_landmarks(torch.from_numpy(np.r_[places, places[:2]])[None].float() / 224, made)[0, :3] * 224
    seen = brightest(changed_images(spots(places), made))
    if made.mirrored[0]:
        seen = seen[[1, 0, 2]]  # the mouth's corner is no left or right of another here
        said[2] = (changed_landmarks(torch.from_numpy(places[[2]]).float().repeat(1, 5, 1) / 224, made) * 224)[0, 2]
    assert torch.allclose(said.double(), seen, atol=0.1)


def test_a_quarter_turn_counterclockwise_is_that_of_numpy():
    image = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    turned = changed_images(image, changes(degrees=np.array([90.0])))
    expected = np.rot90(image.numpy(), axes=(2, 3)).astype(int)
    assert np.abs(turned.numpy().astype(int) - expected).max() <= 1


def test_light_is_a_closed_form_of_the_mean_and_is_cut_at_black_and_white():
    image = torch.full((1, 3, 224, 224), 100, dtype=torch.uint8)
    image[..., 112:] = 140
    lit = changed_images(image, changes(contrast=np.array([1.2]), brightness=np.array([0.9])))
    assert lit.unique().tolist() == [round((120 - 24) * 0.9), round((120 + 24) * 0.9)]
    assert changed_images(image, changes(brightness=np.array([2.0]))).max() == 255


def test_what_is_covered_has_the_mean_colour_and_all_else_stays():
    image = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    seen = changed_images(image, changes(cover=np.array([[0.25, 0.5, 0.5, 0.75]])))
    inside = torch.zeros(224, 224, dtype=bool)
    inside[112:168, 56:112] = True
    assert bool((seen[0, :, inside] == image.float().mean(dim=(2, 3)).round().to(torch.uint8)[0, :, None]).all())
    assert seen[0, :, ~inside].equal(image[0, :, ~inside])


def test_changes_keep_within_their_bounds_use_them_and_shrink_with_strength():
    random = np.random.default_rng(0)
    whole, half = (draw_changes(random, 4000, Augmentation(strength, True, 8)) for strength in (1.0, 0.5))
    assert whole.mirrored.mean() == pytest.approx(0.5, abs=0.03)
    for made, strength in ((whole, 1.0), (half, 0.5)):
        for values, most in (
            (made.degrees, MOST_DEGREES),
            (np.log(made.scale), np.log(MOST_SCALE)),
            (made.shift, MOST_SHIFT),
            (np.log(made.brightness), np.log(MOST_LIGHT)),
            (np.log(made.contrast), np.log(MOST_LIGHT)),
        ):
            assert 0.98 * strength * most < np.abs(values).max() <= strength * most * (1 + 1e-12)
            assert np.abs(values.mean()) < 0.05 * most
        width = made.cover[:, 2] - made.cover[:, 0]
        assert (width > 0).mean() == pytest.approx(strength / 2, abs=0.03)
        assert width[width > 0].min() > 0.09
        assert width.max() < 0.36
    assert np.array_equal(whole.cover[:, 2] > whole.cover[:, 0], whole.cover[:, 3] > whole.cover[:, 1])


def test_a_config_asks_for_nothing_for_one_mirrored_view_or_for_its_own_views():
    def asked(**settings):
        return augmentation_of(config_from_flat(settings).data)

    assert asked() is None
    assert asked(views=3) is None
    assert asked(flip=True, views=3) == Augmentation(0.0, True, 1)
    assert asked(augmentation=0.5, flip=True, views=3) == Augmentation(0.5, True, 3)


def test_changed_faces_are_those_of_one_call_however_they_are_asked_for():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4, 3, 224, 224), dtype=np.uint8)
    landmarks = random.uniform(60, 160, (2, 5, 2)).astype(np.float32)
    rows = np.array([3, 1])
    faces = ChangedFaces(images, rows, landmarks, Augmentation(1.0, True, 3), seed=5)
    whole = faces[faces.numbers]
    assert whole.shape == (6, 3, 224, 224)
    assert np.array_equal(np.concatenate([faces[np.array([k])] for k in range(6)]), whole)
    again = draw_changes(np.random.default_rng(5), 6, Augmentation(1.0, True, 3))
    assert np.array_equal(changed_images(torch.from_numpy(images[[3, 3, 3, 1, 1, 1]]), again).numpy(), whole)
    for face in range(2):
        for view in range(3):
            number = np.array([3 * face + view])
            said = changed_landmarks(torch.from_numpy(landmarks[[face]] / 224), again.of(number)) * 224
            assert np.allclose(faces.landmarks[face, view], said[0], atol=1e-4)


def test_the_one_view_of_faces_that_are_only_mirrored_is_their_mirror_image():
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 224, 224), dtype=np.uint8)
    faces = ChangedFaces(images, np.arange(3), np.full((3, 5, 2), 100, np.float32), Augmentation(0.0, True, 1), 0)
    assert np.array_equal(faces[faces.numbers], images[..., ::-1])
    assert faces.landmarks[..., 0].ravel().tolist() == pytest.approx([123.0] * 15, abs=1e-4)
