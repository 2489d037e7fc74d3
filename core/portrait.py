"""A drawn head: where its landmarks are, and how its skin and features are painted."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from core.drawing import AXIS_Z, Canvas, Points, Pose, mirrored, mix, on_face, shade, smooth
from core.names import CROP
from core.traits import Traits

EYE_X = 0.5  # by definition of the face unit
NOSE_LIFT = 0.42  # of the tip before the face
COLLARS = {"round": (0.6, 2.9), "scoop": (1.25, 3.3), "suit": (0.5, 2.75)}  # half width in necks, lowest point
_SOCKET = [(0.2, -0.02), (0.3, -0.17), (0.55, -0.2), (0.8, -0.08), (0.6, 0.1), (0.35, 0.1)]  # the shade around an eye
TINT_SCALE = 0.5  # soft shadows need no more resolution


def landmarks(pose: Pose, traits: Traits) -> NDArray[np.float32]:
    """The landmarks (L, 2) in pixels: pupils, tip of the nose, mouth corners, in the order of ``names.LANDMARKS``."""
    corner_x, corner_y = _mouth_corner(traits)
    flat = on_face([(-EYE_X, 0), (EYE_X, 0), (0, traits.nose_y), (-corner_x, corner_y), (corner_x, corner_y)])
    flat[2, 2] += NOSE_LIFT
    return pose.project(flat).astype(np.float32)


def _mouth_corner(traits: Traits) -> tuple[float, float]:
    return traits.mouth_width * (1 + 0.2 * traits.smile), traits.mouth_y - 0.1 * traits.smile


def head_loop(traits: Traits) -> Points:
    """The head's silhouette (P, 3)."""
    w, jaw, chin = traits.face_width, traits.jaw, traits.chin_y
    right = [(0.02, -1.35), (0.55, -1.24), (0.93 * w, -0.85), (1.08 * w, -0.25), (1.04 * w, 0.45)]
    right += [((0.35 * w + 0.65 * jaw), 0.95), (0.88 * jaw, 1.35), (0.6 * jaw, chin - 0.16), (0.22, chin)]
    x, y = mirrored(right).T
    return np.column_stack([x, y, AXIS_Z + 0.55 * np.clip((y - 0.2) / 1.4, 0, 1)])


def body(canvas: Canvas, pose: Pose, traits: Traits) -> None:
    """Shoulders, clothes and neck; they follow only part of the head's movement."""
    still = replace(pose, tilt=0.35 * pose.tilt, yaw=0.3 * pose.yaw, pitch=0.0)
    n, s, far = traits.neck, traits.shoulders, AXIS_Z
    cloth = [(n, 2.15, far), (1.4 * n, 2.38, far), (0.78 * s, 2.6, far), (s, 2.95, far), (1.1 * s, 3.6, far)]
    cloth.append((1.15 * s, 6, far))
    canvas.fill(smooth(still.outline(mirrored(cloth))), traits.clothes)
    if traits.collar == "suit":
        shirt = [(1.05 * n, 2.2, far), (0.7 * n, 2.75, far), (0.02, 4.1, far)]
        canvas.fill(still.outline(mirrored(shirt)), (232, 232, 236))
        tie = [(0.02, 2.75, far), (0.1, 2.9, far), (0.13, 3.6, far), (0.02, 4.0, far)]
        canvas.fill(still.outline(mirrored(tie)), shade(traits.clothes, 0.6))
    wide, low = COLLARS[traits.collar]
    neck = [(n, 0.9, far), (0.95 * n, 1.9, far), (1.15 * n, 2.3, far), (wide * n, low - 0.15, far), (0.02, low, far)]
    canvas.fill(smooth(still.outline(mirrored(neck))), shade(traits.skin, 0.82))
    for side in (-1, 1):
        edge = still.outline(
            [(side * 1.1 * n, 2.15, far), (side * (wide + 0.1) * n, low - 0.18, far), (0, low + 0.05, far)]
        )
        canvas.stroke(edge, shade(traits.clothes, 0.7), 0.07)


def skin(canvas: Canvas, pose: Pose, traits: Traits) -> None:
    """Ears and the bare head."""
    for side in (-1, 1):
        ear = [(1.0, -0.15), (1.16, -0.2), (1.24, 0.0), (1.17, 0.35), (1.03, 0.5)]
        loop = [(side * x * traits.face_width, y, AXIS_Z - 0.05) for x, y in ear]
        canvas.fill(smooth(pose.outline(loop)), shade(traits.skin, 0.88))
    canvas.fill(smooth(pose.outline(head_loop(traits))), traits.skin)


def shadows(canvas: Canvas, pose: Pose, traits: Traits, light: tuple[float, float]) -> None:
    """Multiply soft light, shadow, stubble and make-up onto the skin; ``light`` (x, y) points to the lamp."""
    image = canvas.image
    side_px = round(CROP * TINT_SCALE)
    tint = Image.new("RGB", (side_px, side_px), "white")
    soft = Canvas(tint, TINT_SCALE, pose.eye_distance)
    head = smooth(pose.outline(head_loop(traits)))
    soft.fill(head, (150, 140, 150))
    centre = head.mean(axis=0)
    lit = centre + 0.84 * (head - centre) + np.multiply(light, 0.3 * pose.eye_distance)
    soft.fill(lit, (255, 255, 255))
    rouge = mix((255, 255, 255), (250, 170, 175), traits.make_up)
    shadow = mix((205, 190, 190), (140, 120, 165), traits.make_up)
    for side in (-1, 1):
        soft.disc(pose.project(on_face([(side * 0.62, 0.62)])), 0.24, rouge)
        soft.fill(smooth(pose.project(on_face([(side * x, y) for x, y in _SOCKET]))), shadow)
    soft.fill(smooth(pose.project(on_face(mirrored([(0.2, 0.82), (0.12, 0.9)])))), (205, 180, 180))
    if traits.stubble > 0:
        jaw = [(0.3, 0.86), (0.9, 0.7), (0.98, 0.9), (0.86 * traits.jaw, 1.35), (0.3, traits.chin_y)]
        soft.fill(smooth(pose.project(on_face(mirrored(jaw)))), mix((255, 255, 255), (125, 125, 135), traits.stubble))
    tint = tint.filter(ImageFilter.GaussianBlur(0.13 * pose.eye_distance * TINT_SCALE))
    image.paste(ImageChops.multiply(image, tint.resize(image.size, Image.Resampling.BILINEAR)))


def eyes(canvas: Canvas, pose: Pose, traits: Traits) -> None:
    """Whites, irises, pupils, lids and lashes; the pupils lie on the landmarks."""
    u = np.linspace(-1, 1, 13)
    upper, lower = -traits.eye_opening * (1 - u**2), 0.75 * traits.eye_opening * (1 - u**2)
    angle = np.linspace(0, 2 * np.pi, 24)
    for side in (-1, 1):

        def at(x: NDArray[np.float64], y: NDArray[np.float64], middle: float = side * EYE_X) -> Points:
            return pose.project(on_face(np.column_stack([middle + x, y])))

        x = 0.23 * u
        canvas.fill(at(np.r_[x, x[::-1]], np.r_[upper, lower[::-1]]), (240, 236, 232))
        for radius, colour in ((0.105, traits.iris), (0.05, (12, 10, 12))):
            disc_x = radius * np.cos(angle)
            lid_y = [np.interp(disc_x, x, lid) for lid in (upper, lower)]
            canvas.fill(at(disc_x, np.clip(radius * np.sin(angle), *lid_y)), colour)
        lash = mix(shade(traits.skin, 0.35), (15, 10, 15), traits.make_up)
        canvas.stroke(at(x * 1.06, upper), lash, 0.03 + 0.045 * traits.make_up)
        canvas.stroke(at(x, lower), shade(traits.skin, 0.6), 0.015)
        canvas.stroke(at(x, upper - 0.07), shade(traits.skin, 0.68), 0.015)


def brows(canvas: Canvas, pose: Pose, traits: Traits) -> None:
    """Eyebrows, a little darker than the hair."""
    u = np.linspace(0, 1, 8)
    x = 0.2 + 0.62 * u
    y = traits.brow_y - traits.brow_arch * np.sin(np.pi * u**0.8) + 0.06 * u
    half = traits.brow_thickness / 2 * np.interp(u, [0, 0.3, 1], [0.8, 1, 0.25])
    for side in (-1, 1):
        loop = np.column_stack([side * np.r_[x, x[::-1]], np.r_[y - half, (y + half)[::-1]]])
        canvas.fill(pose.project(on_face(loop)), mix(shade(traits.hair, 0.55), shade(traits.skin, 0.4), 0.3))


def nose(canvas: Canvas, pose: Pose, traits: Traits, light: tuple[float, float]) -> None:
    """Bridge, wings and nostrils; the highlight of the tip lies on the landmark."""
    tip, w = traits.nose_y, traits.nose_width
    dark = shade(traits.skin, 0.72)
    side = -1 if light[0] > 0 else 1
    ridge = [(0.0, 0.05, 0.02), (0.0, tip - 0.1, NOSE_LIFT - 0.08), (0.0, tip + 0.02, NOSE_LIFT)]
    wing = [(side * w, tip + 0.06, 0.1), (side * 0.7 * w, tip - 0.12, 0.1), (side * 0.13, 0.1, -0.02)]
    canvas.fill(pose.project(ridge + wing), (*shade(traits.skin, 0.84), 150))
    base = [(-w, tip), (-w, tip + 0.09), (-0.5 * w, tip + 0.1), (0, tip + 0.15), (0.5 * w, tip + 0.1)]
    base += [(w, tip + 0.09), (w, tip)]
    base_P3 = [(x, y, 0.1 + 0.25 * (1 - abs(x) / w)) for x, y in base]
    canvas.stroke(pose.project(base_P3), dark, 0.035)
    for x in (-0.5 * w, 0.5 * w):
        canvas.disc(pose.project([(x, tip + 0.08, 0.22)]), 0.045, shade(traits.skin, 0.4))
    canvas.disc(pose.project([(0, tip, NOSE_LIFT)]), 0.055, (*shade(traits.skin, 1.18), 170))


def mouth(canvas: Canvas, pose: Pose, traits: Traits) -> None:
    """Lips, and teeth where they part; the lips' ends lie on the landmarks."""
    corner_x, corner_y = _mouth_corner(traits)
    u = np.linspace(-1, 1, 17)
    line = traits.mouth_y + (corner_y - traits.mouth_y) * u**2
    gap = traits.mouth_open * (1 - u**2)
    high, low = line - 0.35 * gap, line + 0.65 * gap
    top = high - traits.lip_height * 0.8 * np.interp(np.abs(u), [0, 0.22, 0.6, 1], [0.85, 1, 0.6, 0])
    bottom = low + traits.lip_height * (1 - np.abs(u) ** 2.5)

    def between(upper: NDArray[np.float64], lower: NDArray[np.float64]) -> Points:
        x = corner_x * np.r_[u, u[::-1]]
        return pose.project(on_face(np.column_stack([x, np.r_[upper, lower[::-1]]])))

    canvas.fill(between(bottom, bottom + 0.05 * (1 - u**2)), shade(traits.skin, 0.75))
    canvas.fill(between(top, bottom), traits.lips)
    canvas.fill(between(top, high), shade(traits.lips, 0.88))
    canvas.fill(between(high, low + 0.015), (60, 22, 26))
    canvas.fill(between(high, high + np.minimum(0.8 * gap, 0.12)), (238, 234, 226))
    if traits.wrinkles > 0.3:
        for side in (-1, 1):
            fold = [(side * 0.26, traits.nose_y), (side * 0.46, 0.85), (side * (corner_x + 0.12), corner_y)]
            canvas.stroke(pose.project(on_face(fold)), shade(traits.skin, 1 - 0.3 * traits.wrinkles), 0.03)
