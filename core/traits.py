"""What drawn women and men look like: the tables here are the whole difference between the two genders.

The cues are probabilistic and partly redundant, as in life, and every one of them overlaps.
"""

from dataclasses import dataclass

import numpy as np

from core.drawing import Colour, mix, rgb

NORMAL_CUES: dict[str, tuple[float, float, float, float, float]] = {
    # name: mean of women, mean of men, standard deviation, lowest, highest
    "jaw": (0.832, 0.855, 0.07, 0.62, 1.02),
    "face_width": (0.995, 1.005, 0.04, 0.9, 1.12),
    "chin_y": (1.85, 1.87, 0.09, 1.65, 2.1),
    "neck": (0.60, 0.625, 0.08, 0.42, 0.85),
    "shoulders": (1.83, 1.91, 0.22, 1.35, 2.5),
    "brow_thickness": (0.108, 0.117, 0.035, 0.04, 0.24),
    "brow_y": (-0.35, -0.34, 0.035, -0.45, -0.27),
    "brow_arch": (0.09, 0.082, 0.035, 0.0, 0.18),
    "eye_opening": (0.111, 0.107, 0.018, 0.07, 0.15),
    "nose_y": (0.66, 0.67, 0.045, 0.55, 0.78),
    "nose_width": (0.217, 0.222, 0.025, 0.16, 0.3),
    "mouth_y": (1.13, 1.14, 0.045, 1.03, 1.25),
    "mouth_width": (0.40, 0.41, 0.04, 0.31, 0.5),
    "lip_height": (0.14, 0.133, 0.03, 0.07, 0.22),
    "lip_colour": (0.46, 0.39, 0.22, 0.05, 1.0),
    "smile": (0.48, 0.43, 0.4, -0.3, 1.0),
    "wrinkles": (0.25, 0.33, 0.3, 0.0, 1.0),
    "hairline_y": (-0.89, -0.91, 0.09, -1.15, -0.68),
}
CHANCES: dict[str, tuple[float, float]] = {
    # name: share of women, share of men
    "make_up": (0.30, 0.04),
    "earrings": (0.24, 0.05),
    "fringe": (0.28, 0.16),
    "curly": (0.22, 0.16),
    "grey": (0.04, 0.10),
    "stubble": (0.0, 0.32),
}
CHOICES: dict[str, dict[str, tuple[float, float]]] = {
    # name: value: share of women, share of men
    "length": {"bald": (0.01, 0.12), "short": (0.10, 0.75), "middle": (0.17, 0.08), "long": (0.72, 0.05)},
    "beard": {"": (1.0, 0.52), "full": (0.0, 0.34), "goatee": (0.0, 0.08), "moustache": (0.0, 0.06)},
    "collar": {"round": (0.50, 0.58), "scoop": (0.40, 0.07), "suit": (0.10, 0.35)},
    "glasses": {"": (0.84, 0.78), "clear": (0.13, 0.18), "dark": (0.03, 0.04)},
    "hat": {"": (0.94, 0.90), "beanie": (0.03, 0.05), "cap": (0.03, 0.05)},
}
TIP_Y = {"bald": (-1.0, -0.9), "short": (-0.1, 0.5), "middle": (0.75, 1.7), "long": (1.9, 3.8)}
CLOTHES: tuple[Colour, Colour] = ((156, 96, 120), (80, 90, 106))  # means of women and men

SKINS: tuple[Colour, ...] = ((250, 219, 196), (234, 190, 160), (205, 153, 115), (160, 108, 76), (98, 64, 48))
HAIRS: tuple[Colour, ...] = ((24, 20, 20), (52, 36, 28), (92, 60, 38), (140, 82, 42), (196, 156, 92), (226, 200, 146))
HAIR_SHARES = (0.33, 0.31, 0.18, 0.07, 0.07, 0.04)
GREY: Colour = (175, 172, 170)
IRISES: tuple[Colour, ...] = ((58, 36, 22), (84, 58, 34), (70, 96, 120), (84, 104, 72))


@dataclass(frozen=True)
class Traits:
    """What a head looks like. Lengths in face units; shares, and what has no unit, from 0 to 1."""

    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    clothes: Colour
    collar: str
    """A key of ``portrait.COLLARS``."""
    face_width: float
    """Factor on the width of the head, near 1."""
    jaw: float
    """Half the width of the jaw at the mouth."""
    chin_y: float
    neck: float
    """Half the neck's width."""
    shoulders: float
    """Half the shoulders' width."""
    brow_thickness: float
    brow_y: float
    brow_arch: float
    eye_opening: float
    make_up: float
    nose_y: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    """Half the distance between the corners of a mouth that does not smile."""
    lip_height: float
    smile: float
    """Below 0: the corners point down."""
    mouth_open: float
    """Height of the gap between the lips."""
    wrinkles: float
    hair_tip_y: float
    """How far down the hair reaches; below -0.6 there is none."""
    hair_volume: float
    hair_wave: float
    curly: bool
    hairline_y: float
    parting_x: float
    fringe: bool
    beard: str
    """A key of ``hairstyle.BEARDS``, or empty."""
    beard_alpha: float
    stubble: float
    glasses: str
    """``clear``, ``dark`` or empty."""
    earrings: bool
    hat: str
    """A key of ``hairstyle.HATS``, or empty."""
    hat_colour: Colour


def sample_traits(rng: np.random.Generator, gender: int) -> Traits:
    """What a woman (0) or a man (1) looks like."""
    cue = {name: float(np.clip(rng.normal(row[gender], row[2]), *row[3:])) for name, row in NORMAL_CUES.items()}
    has = {name: bool(rng.random() < row[gender]) for name, row in CHANCES.items()}
    is_ = {name: str(rng.choice(list(row), p=[p[gender] for p in row.values()])) for name, row in CHOICES.items()}
    length, skin = is_["length"], _skin(rng)
    redness = cue.pop("lip_colour")
    hair = GREY if has.pop("grey") else HAIRS[rng.choice(len(HAIRS), p=HAIR_SHARES)]
    laughs = rng.random() < (0.6 if cue["smile"] > 0.6 else 0.15)
    return Traits(
        **cue,
        skin=skin,
        hair=_jitter(hair, 10, rng),
        iris=_jitter(IRISES[rng.integers(len(IRISES))], 10, rng),
        lips=mix(mix(skin, (150, 70, 70), 0.35), _jitter((190, 30, 60), 20, rng), redness),
        beard=is_["beard"],
        collar=is_["collar"],
        glasses=is_["glasses"],
        hat=is_["hat"],
        clothes=_cloth(gender, 0.6 if is_["collar"] == "suit" else 1.0, rng),
        hat_colour=_cloth(gender, 1.0, rng),
        mouth_open=rng.uniform(0.04, 0.2) if laughs else 0.0,
        make_up=rng.uniform(0.4, 1) if has["make_up"] else rng.uniform(0, 0.1),
        stubble=rng.uniform(0.3, 1) if has["stubble"] else 0.0,
        beard_alpha=rng.uniform(0.55, 0.95),
        earrings=has["earrings"],
        curly=has["curly"],
        fringe=has["fringe"] and length != "bald",
        hair_tip_y=rng.uniform(*TIP_Y[length]),
        hair_volume=rng.uniform(0.0, 0.1) if length == "short" else rng.uniform(0.15, 0.42),
        hair_wave=max(0.0, rng.uniform(-0.05, 0.14)),
        parting_x=rng.uniform(-0.5, 0.5),
    )


def _skin(rng: np.random.Generator) -> Colour:
    tone = float(np.clip(rng.gamma(1.6, 0.75), 0, len(SKINS) - 1.001))
    lighter = int(tone)
    return _jitter(mix(SKINS[lighter], SKINS[lighter + 1], tone - lighter), 7, rng)


def _cloth(gender: int, factor: float, rng: np.random.Generator) -> Colour:
    return rgb((np.add(CLOTHES[gender], rng.normal(0, 32)) + rng.normal(0, 40, 3)) * factor)


def _jitter(colour: Colour, lightness: float, rng: np.random.Generator) -> Colour:
    """The colour with its lightness, and a quarter as much its hue, changed by chance."""
    return rgb(np.add(colour, rng.normal(0, lightness)) + rng.normal(0, lightness / 4, 3))
