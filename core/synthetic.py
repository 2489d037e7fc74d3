"""Drawn faces with exact landmarks and gender cues, so that everything runs, and learning shows, without a data set.

The cues are probabilistic and partly redundant, as in life: the tables below are the whole difference between the two
genders, and every cue overlaps. Position, size, tilt and turn vary so much that predicting the mean face for every
face scores an NME of about 45 %.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core import hairstyle, portrait
from core.drawing import Canvas, Colour, Pose, mix
from core.names import CROP, LANDMARKS, MAN, WOMAN
from core.portrait import Traits
from core.scene import BACKDROPS, SUPERSAMPLE, Scene, backdrop, photograph

VERSION = 1  # part of every cache's key: raise it when the same seed draws other pictures

NORMAL_CUES: dict[str, tuple[float, float, float, float, float]] = {
    # name: mean of women, mean of men, standard deviation, lowest, highest
    "jaw": (0.83, 0.855, 0.07, 0.62, 1.02),
    "face_width": (0.99, 1.01, 0.04, 0.9, 1.12),
    "chin_y": (1.84, 1.88, 0.09, 1.65, 2.1),
    "neck": (0.59, 0.63, 0.08, 0.42, 0.85),
    "shoulders": (1.8, 1.94, 0.22, 1.35, 2.5),
    "brow_thickness": (0.106, 0.119, 0.035, 0.04, 0.24),
    "brow_y": (-0.35, -0.34, 0.035, -0.45, -0.27),
    "brow_arch": (0.095, 0.08, 0.035, 0.0, 0.18),
    "eye_opening": (0.112, 0.106, 0.018, 0.07, 0.15),
    "nose_width": (0.215, 0.223, 0.025, 0.16, 0.3),
    "lip_height": (0.142, 0.132, 0.03, 0.07, 0.22),
    "smile": (0.5, 0.42, 0.4, -0.3, 1.0),
    "redness": (0.48, 0.38, 0.22, 0.05, 1.0),
    "hairline_y": (-0.88, -0.92, 0.09, -1.15, -0.68),
    "nose_y": (0.66, 0.67, 0.045, 0.55, 0.78),
    "mouth_y": (1.13, 1.14, 0.045, 1.03, 1.25),
    "mouth_width": (0.40, 0.41, 0.04, 0.31, 0.5),
    "wrinkles": (0.25, 0.35, 0.3, 0.0, 1.0),
}
CHANCES: dict[str, tuple[float, float]] = {
    # name: share of women, share of men
    "make_up": (0.36, 0.04),
    "earrings": (0.28, 0.05),
    "fringe": (0.28, 0.16),
    "curly": (0.22, 0.16),
    "glasses": (0.16, 0.22),
    "hat": (0.06, 0.10),
    "stubble": (0.0, 0.35),
    "grey": (0.08, 0.18),
}
CHOICES: dict[str, tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]] = {
    # name: values, their shares among women and among men
    "length": (("bald", "short", "middle", "long"), (0.01, 0.10, 0.17, 0.72), (0.12, 0.75, 0.08, 0.05)),
    "collar": (("round", "scoop", "suit"), (0.48, 0.44, 0.08), (0.58, 0.05, 0.37)),
    "beard": (("", "full", "goatee", "moustache"), (1.0, 0.0, 0.0, 0.0), (0.52, 0.34, 0.08, 0.06)),
}
CLOTHES: tuple[Colour, Colour] = ((166, 98, 126), (76, 90, 106))  # means of women and men
TIP_Y: dict[str, tuple[float, float]] = {
    "bald": (-1.0, -0.9), "short": (-0.1, 0.55), "middle": (0.75, 1.7), "long": (1.9, 3.8)
}  # fmt: skip

SKINS: tuple[Colour, ...] = ((250, 219, 196), (234, 190, 160), (205, 153, 115), (160, 108, 76), (98, 64, 48))
HAIRS: tuple[Colour, ...] = ((24, 20, 20), (52, 36, 28), (92, 60, 38), (140, 82, 42), (196, 156, 92), (226, 200, 146))
HAIR_SHARES = (0.28, 0.27, 0.18, 0.09, 0.11, 0.07)
IRISES: tuple[Colour, ...] = ((58, 36, 22), (84, 58, 34), (70, 96, 120), (84, 104, 72))


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
    x, y = CROP / 2 + rng.uniform(-25, 25, 2)
    eye_distance = np.exp(rng.uniform(np.log(37), np.log(60)))
    tilt, yaw, pitch = np.clip(rng.standard_normal(3), -2.2, 2.2) * np.radians((11, 13, 6))
    return Pose(float(x), float(y), float(eye_distance), float(tilt), float(yaw), float(pitch))


def sample_scene(rng: np.random.Generator) -> Scene:
    """A background and a photograph."""
    base = rng.uniform(10, 245, (1, 3))
    colours = np.clip(
        base.mean() + 0.35 * (base - base.mean()) + rng.normal(0, 20, (3, 3)) + rng.normal(0, 35, (3, 1)), 0, 255
    ).astype(int)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 1)
    gain = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.035, 3))
    return Scene(
        backdrop=str(rng.choice(list(BACKDROPS))),
        defocus=float(rng.uniform(1, 5)),
        colours=(tuple(colours[0]), tuple(colours[1]), tuple(colours[2])),
        light=(float(np.cos(angle) * strength), float(np.sin(angle) * strength)),
        gain=(float(gain[0]), float(gain[1]), float(gain[2])),
        contrast=float(rng.uniform(0.75, 1.15)),
        saturation=float(rng.choice([0.0, 1.0], p=[0.04, 0.96]) * rng.uniform(0.6, 1.0)),
        blur=float(max(0.0, rng.uniform(-0.5, 0.9))),
        noise=float(rng.uniform(0, 5)),
    )


def sample_traits(rng: np.random.Generator, gender: int) -> Traits:
    """What a woman (0) or a man (1) looks like."""
    cue = {name: float(np.clip(rng.normal(row[gender], row[2]), *row[3:])) for name, row in NORMAL_CUES.items()}
    has = {name: bool(rng.random() < row[gender]) for name, row in CHANCES.items()}
    is_ = {name: str(rng.choice(row[0], p=row[1 + gender])) for name, row in CHOICES.items()}
    skin = _skin(rng)
    hair = (175, 172, 170) if has["grey"] else HAIRS[rng.choice(len(HAIRS), p=HAIR_SHARES)]
    smiles = cue["smile"] > 0.6
    return Traits(
        **{name: value for name, value in cue.items() if name != "redness"},
        skin=skin,
        hair=_jitter(hair, 10, rng),
        iris=_jitter(IRISES[rng.integers(len(IRISES))], 10, rng),
        lips=mix(mix(skin, (150, 70, 70), 0.35), _jitter((190, 30, 60), 20, rng), cue["redness"]),
        clothes=_cloth(gender, is_["collar"], rng),
        collar=is_["collar"],
        make_up=float(rng.uniform(0.4, 1) if has["make_up"] else rng.uniform(0, 0.1)),
        mouth_open=float(rng.uniform(0.04, 0.2) if rng.random() < (0.6 if smiles else 0.15) else 0.0),
        hair_tip_y=float(rng.uniform(*TIP_Y[is_["length"]])),
        hair_volume=float(rng.uniform(0.0, 0.1) if is_["length"] == "short" else rng.uniform(0.15, 0.42)),
        hair_wave=float(max(0.0, rng.uniform(-0.05, 0.14))),
        parting_x=float(rng.uniform(-0.5, 0.5)),
        curly=has["curly"],
        fringe=has["fringe"] and is_["length"] != "bald",
        beard=is_["beard"],
        beard_alpha=float(rng.uniform(0.55, 0.95)),
        stubble=float(rng.uniform(0.3, 1) if has["stubble"] else 0.0),
        glasses=str(rng.choice(["clear", "dark"], p=[0.85, 0.15])) if has["glasses"] else "",
        earrings=has["earrings"],
        hat=str(rng.choice(list(hairstyle.HATS))) if has["hat"] else "",
        hat_colour=_cloth(gender, "", rng),
    )


def _skin(rng: np.random.Generator) -> Colour:
    tone = float(np.clip(rng.gamma(1.6, 0.75), 0, len(SKINS) - 1.001))
    lighter = int(tone)
    return _jitter(mix(SKINS[lighter], SKINS[lighter + 1], tone - lighter), 7, rng)


def _cloth(gender: int, collar: str, rng: np.random.Generator) -> Colour:
    colour = np.array(CLOTHES[gender]) + rng.normal(0, 30) + rng.normal(0, 32, 3)
    return tuple(int(c) for c in np.clip(colour * (0.6 if collar == "suit" else 1.0), 8, 245))


def _jitter(colour: Colour, lightness: float, rng: np.random.Generator) -> Colour:
    """The colour with its lightness, and a quarter as much its hue, changed by chance."""
    change = rng.normal(0, lightness) + rng.normal(0, lightness / 4, 3)
    return tuple(int(c) for c in np.clip(np.array(colour) + change, 0, 255))
