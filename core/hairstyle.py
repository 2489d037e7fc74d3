"""Hair, beards, hats, glasses and earrings of a drawn head."""

import numpy as np

from core.drawing import AXIS_Z, Canvas, Points, Pose, mirrored, mix, on_face, shade, smooth
from core.portrait import EYE_X
from core.traits import Traits

BEARDS: dict[str, list[tuple[float, float]]] = {
    # right half of the loop from the middle above the mouth around the cheek to the middle below the chin
    "full": [
        (0.02, 0.86), (0.3, 0.86), (0.55, 1.0), (0.8, 0.85), (1.0, 0.5),
        (1.05, 0.95), (0.92, 1.4), (0.55, 1.9), (0.02, 2.05),
    ],
    "goatee": [(0.02, 0.86), (0.3, 0.88), (0.5, 1.05), (0.5, 1.45), (0.38, 1.8), (0.02, 1.92)],
    "moustache": [(0.02, 0.86), (0.25, 0.86), (0.5, 1.08), (0.46, 1.14), (0.02, 1.02)],
}  # fmt: skip
HATS: dict[str, list[tuple[float, float]]] = {
    "beanie": [(0.02, -1.85), (0.7, -1.7), (1.15, -1.0), (1.18, -0.45), (0.6, -0.6), (0.02, -0.62)],
    "cap": [(0.02, -1.65), (0.7, -1.5), (1.15, -0.95), (1.16, -0.55), (0.6, -0.75), (0.02, -0.8)],
}
BALD_Y = -0.6


def back_hair(canvas: Canvas, pose: Pose, traits: Traits) -> None:
    """What long hair shows behind the neck."""
    if traits.hair_tip_y < 0.7:
        return
    width, tip = 1.12 + traits.hair_volume, traits.hair_tip_y
    right = [(0.02, -1.3), (0.8, -1.1), (width, -0.3), (width, 0.5 * tip), (0.95 * width, tip), (0.3, tip + 0.1)]
    loop = [(x, y, AXIS_Z - 0.2) for x, y in mirrored(right)]
    canvas.fill(smooth(pose.outline(loop)), shade(traits.hair, 0.62))


def front_hair(canvas: Canvas, pose: Pose, traits: Traits, rng: np.random.Generator) -> None:
    """The hair on both sides of the parting, and the fringe."""
    if traits.hair_tip_y < BALD_Y:
        return
    for side in (-1, 1):
        inner, outer = (pose.outline(edge) for edge in _curtain(traits, side, rng.uniform(0, 6)))
        canvas.fill(smooth(np.concatenate([inner, outer[::-1]])), traits.hair)
        _strands(canvas, inner, outer, traits, rng)
        if traits.curly:
            _curls(canvas, smooth(outer, steps=4)[:-4], traits, rng)
    if traits.fringe:
        x = np.linspace(-0.85, 0.85, 9)
        low = -0.42 + 0.12 * x**2 + rng.uniform(-0.06, 0.06, 9)
        inner, outer = (pose.project(on_face(np.column_stack([x * w, y]))) for w, y in ((1, low), (0.8, low - 0.75)))
        canvas.fill(np.concatenate([inner, outer[::-1]]), traits.hair)
        _strands(canvas, np.stack([inner[0], outer[0]]), np.stack([inner[-1], outer[-1]]), traits, rng)


def _curtain(traits: Traits, side: int, phase: float) -> tuple[Points, Points]:
    """Inner and outer edge (P, 3) of the hair on one side, from the parting to the tips."""
    part, line, volume, tip = traits.parting_x, traits.hairline_y, traits.hair_volume, traits.hair_tip_y
    top = -1.36 - volume
    y = np.linspace(-0.3, max(tip, -0.1), 9)
    fall = np.clip((y + 0.3) / 2.0, 0, 1)
    wave = traits.hair_wave * np.sin(4.5 * y + phase) * np.clip(y + 0.3, 0, 1)
    inner_x = (1.0 - 0.1 * np.clip(fall * 3, 0, 1) * (tip > 0.7)) * traits.face_width + 0.5 * wave
    thick = (0.14 + volume) * (1 - 0.85 * (y + 0.3) / (y[-1] + 0.3) * (tip < 0.7)) + 0.15 * fall
    outer_x = 1.03 * traits.face_width + thick + wave
    inner = [(part, line), (0.5 * part + side * 0.4, line + 0.05), (side * 0.84, line + 0.25)]
    outer = [(part, top), (0.4 * part + side * 0.62, top + 0.1), (side * (1.0 + volume), -0.85)]
    return (
        np.column_stack([np.vstack([inner, np.column_stack([side * inner_x, y])]), np.full(12, AXIS_Z + 0.3)]),
        np.column_stack([np.vstack([outer, np.column_stack([side * outer_x, y])]), np.full(12, AXIS_Z)]),
    )


def _strands(canvas: Canvas, inner: Points, outer: Points, traits: Traits, rng: np.random.Generator) -> None:
    """Lighter and darker lines between two edges."""
    for share, factor in zip(rng.uniform(0.02, 0.98, 22), rng.uniform(0.45, 1.55, 22), strict=True):
        canvas.stroke(inner + share * (outer - inner), (*shade(traits.hair, factor), 150), 0.035)


def _curls(canvas: Canvas, edge: Points, traits: Traits, rng: np.random.Generator) -> None:
    """Locks of many sizes along an edge."""
    radii, factors = rng.uniform(0.11, 0.2, len(edge)), rng.uniform(0.82, 1.1, len(edge))
    for centre, radius, factor in zip(edge, radii, factors, strict=True):
        canvas.disc(centre[None], radius, shade(traits.hair, factor))


def beard(canvas: Canvas, pose: Pose, traits: Traits, rng: np.random.Generator) -> None:
    """A beard or moustache of short strokes over a ground of its colour; paint it before the mouth."""
    if not traits.beard:
        return
    loop = mirrored(BEARDS[traits.beard]) * (traits.jaw / 0.9, 1.0)
    canvas.fill(smooth(pose.project(on_face(loop))), (*shade(traits.hair, 0.8), round(255 * traits.beard_alpha)))
    edge = smooth(loop)
    for _ in range(40):
        start = edge[rng.integers(len(edge))] + rng.normal(0, 0.02, 2)
        end = 1.03 * start[0], start[1] + 0.07
        canvas.stroke(pose.project(on_face([start, end])), (*shade(traits.hair, rng.uniform(0.5, 1.2)), 150), 0.02)


def glasses(canvas: Canvas, pose: Pose, traits: Traits) -> None:
    """Frames, with dark glass where asked for."""
    if not traits.glasses:
        return
    angle = np.linspace(0, 2 * np.pi, 25)
    ring = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.7, np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.7
    frame = mix(shade(traits.clothes, 0.4), (20, 18, 20), 0.6)
    for side in (-1, 1):
        rim = pose.project(on_face(np.column_stack([side * EYE_X + 0.36 * ring[0], 0.03 + 0.27 * ring[1]]), 0.1))
        canvas.fill(rim, (25, 25, 32, 225) if traits.glasses == "dark" else (235, 240, 250, 28))
        canvas.stroke(rim, frame, 0.055)
        canvas.stroke(pose.project([(side * 0.85, -0.05, -0.25), (side * 1.08, -0.05, -0.8)]), frame, 0.05)
    canvas.stroke(pose.project([(-0.15, -0.02, 0.12), (0, -0.06, 0.16), (0.15, -0.02, 0.12)]), frame, 0.055)


def earrings(canvas: Canvas, pose: Pose, traits: Traits) -> None:
    """A pendant under each ear, or under hair that covers it."""
    if traits.earrings:
        for side in (-1, 1):
            for drop, radius in ((0.55, 0.05), (0.68, 0.085)):
                canvas.disc(pose.outline([(side * 1.1, drop, AXIS_Z)]), radius, (232, 205, 120))


def hat(canvas: Canvas, pose: Pose, traits: Traits) -> None:
    """A hat over the hair."""
    if not traits.hat:
        return
    x, y = mirrored(HATS[traits.hat]).T
    x = x * (1 + 0.6 * traits.hair_volume) * traits.face_width
    dome = np.column_stack([x, y, np.where(y > -0.9, AXIS_Z + 0.25, AXIS_Z)])
    canvas.fill(smooth(pose.outline(dome)), traits.hat_colour)
    if traits.hat == "cap":
        visor = mirrored([(0.02, -0.82), (0.6, -0.78), (1.05, -0.58), (0.95, -0.45), (0.5, -0.42), (0.02, -0.38)])
        canvas.fill(smooth(pose.outline([(px, py, 0.1) for px, py in visor])), shade(traits.hat_colour, 0.7))
    else:
        band = pose.outline([(px, -0.6 - 0.12 * (1 - px**2), AXIS_Z + 0.25) for px in np.linspace(-1.12, 1.12, 9)])
        canvas.stroke(band, shade(traits.hat_colour, 0.78), 0.2)
