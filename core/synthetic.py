"""Drawn faces with exact landmarks and gender cues, so that everything runs, and learning shows, without a data set.

Position, size, tilt and turn vary so much that predicting the mean face for every face scores an NME of about 45 %.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core import hairstyle, portrait
from core.drawing import Canvas, Pose
from core.names import CROP, LANDMARKS, MAN, WOMAN
from core.scene import SUPERSAMPLE, Scene, backdrop, photograph, sample_scene
from core.traits import Traits, sample_traits

VERSION = 1  # part of every cache's key: raise it when the same seed draws other pictures


def draw_face(rng: np.random.Generator, gender: int) -> tuple[Image.Image, NDArray[np.float32]]:
    """One face, an RGB image of the crop's size, and its landmarks (L, 2) in pixels."""
    pose, scene, traits = sample_pose(rng), sample_scene(rng), sample_traits(rng, gender)
    return paint(pose, scene, traits, rng), portrait.landmarks(pose, traits)


def draw_faces(
    count: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    out: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
    """Faces number 0 to ``count - 1`` of a seed: women and men in turn.

    Face ``i`` depends on the seed and ``i`` alone, whatever the count.

    Args:
        count: number of faces, N.
        seed: from 0.
        progress: called after each face with the number done and N.
        out: where to put the images, say a memory-mapped file: uint8 (N, 3, 224, 224).

    Returns:
        Images uint8 (N, 3, 224, 224), landmarks float32 (N, L, 2) in pixels, gender int64 (N,).
    """
    shape = (count, 3, CROP, CROP)
    images = np.empty(shape, np.uint8) if out is None else out
    if images.shape != shape or images.dtype != np.uint8:
        raise ValueError(f"out must be uint8 of shape {shape}, got {images.dtype} of shape {images.shape}")
    landmarks = np.empty((count, len(LANDMARKS), 2), np.float32)
    gender = np.where(np.arange(count) % 2 == 0, WOMAN, MAN).astype(np.int64)
    for i in range(count):
        image, landmarks[i] = draw_face(np.random.default_rng((seed, i)), int(gender[i]))
        images[i] = np.asarray(image).transpose(2, 0, 1)
        if progress is not None:
            progress(i + 1, count)
    return images, landmarks, gender


def paint(pose: Pose, scene: Scene, traits: Traits, rng: np.random.Generator) -> Image.Image:
    """The picture of one head; ``rng`` places only what has no name: strands, shapes behind the head, grain."""
    canvas = Canvas(backdrop(scene, rng), SUPERSAMPLE, pose.eye_distance)
    hairstyle.back_hair(canvas, pose, traits)
    portrait.body(canvas, pose, traits)
    portrait.skin(canvas, pose, traits)
    portrait.shadows(canvas, pose, traits, scene.light)
    portrait.eyes(canvas, pose, traits)
    portrait.brows(canvas, pose, traits)
    portrait.nose(canvas, pose, traits, scene.light)
    hairstyle.beard(canvas, pose, traits, rng)
    portrait.mouth(canvas, pose, traits)
    hairstyle.front_hair(canvas, pose, traits, rng)
    hairstyle.earrings(canvas, pose, traits)
    hairstyle.hat(canvas, pose, traits)
    hairstyle.glasses(canvas, pose, traits)
    return photograph(canvas.image, scene, rng)


def sample_pose(rng: np.random.Generator) -> Pose:
    """A pose whose landmarks all lie inside the crop."""
    x, y = CROP / 2 + rng.uniform(-23, 23, 2)
    eye_distance = np.exp(rng.uniform(np.log(35), np.log(53)))
    tilt, yaw, pitch = np.clip(rng.standard_normal(3), -2.2, 2.2) * np.radians((9, 11, 5))
    return Pose(float(x), float(y), float(eye_distance), float(tilt), float(yaw), float(pitch))
