"""Where a head's points fall in the picture, and the brushes that paint there.

Face units: 1 is the distance between the eyes of a frontal face; x to the right and y down in the image, z towards the
viewer; the origin lies between the eyes. P points, X (x, y), 3 (x, y, z). Pixel (0, 0) is the first pixel's centre.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

Points = NDArray[np.float64]
Colour = tuple[int, int, int]
Paint = Colour | tuple[int, int, int, int]  # a fourth number, the opacity from 0 to 255, lets what lies beneath show

AXIS_Z = -0.8  # the head turns around an axis this far behind the eyes
CENTRE = (0.0, 0.55, 0.0)  # the point of the face that a pose puts at (x, y)


@dataclass(frozen=True)
class Pose:
    """Where a head is and which way it looks; angles in radians."""

    x: float
    y: float
    """The face's centre, between eyes and mouth, in pixels."""

    eye_distance: float
    """Pixels in a face unit: the distance between the eyes, were the head not turned."""

    tilt: float
    """Rotation in the image, clockwise."""

    yaw: float
    """Turn towards the image's right."""

    pitch: float
    """Turn upwards."""

    def project(self, points_P3: ArrayLike) -> Points:
        """Pixels (P, 2) of points fixed to the head (orthographic: no perspective)."""
        return self._place(points_P3, np.cos(self.yaw), np.sin(self.yaw))

    def outline(self, points_P3: ArrayLike) -> Points:
        """Pixels (P, 2) of a silhouette: a round head is as wide from every side, so a turn shifts its points only."""
        return self._place(points_P3, 1.0, 0.0)

    def _place(self, points_P3: ArrayLike, cos_yaw: float, sin_yaw: float) -> Points:
        x, y, z = (np.asarray(points_P3, dtype=np.float64) - CENTRE).reshape(-1, 3).T
        turned = cos_yaw * x + np.sin(self.yaw) * z
        depth = np.cos(self.yaw) * z - sin_yaw * x
        raised = np.cos(self.pitch) * y - np.sin(self.pitch) * depth
        cos, sin = self.eye_distance * np.cos(self.tilt), self.eye_distance * np.sin(self.tilt)
        return np.stack([self.x + cos * turned - sin * raised, self.y + sin * turned + cos * raised], axis=1)


def on_face(points_PX: ArrayLike, lift: float = 0.0) -> Points:
    """Points (P, 3) on the front of the head, a vertical cylinder with an elliptic section, or ``lift`` before it."""
    points_PX = np.asarray(points_PX, dtype=np.float64).reshape(-1, 2)
    z = AXIS_Z * (1 - np.sqrt(np.clip(1 - (points_PX[:, 0] / 1.15) ** 2, 0, 1)))
    return np.column_stack([points_PX, z + lift])


def mirrored(points_PX: ArrayLike) -> Points:
    """A closed loop from the points of its right half, listed from top to bottom."""
    right = np.asarray(points_PX, dtype=np.float64)
    return np.concatenate([right, right[::-1] * (-1, *[1] * (right.shape[1] - 1))])


def smooth(points_PX: Points, steps: int = 5) -> Points:
    """A closed Catmull-Rom curve through the points, ``steps`` points for each of them."""
    before, start, end, after = (np.roll(points_PX, shift, axis=0)[:, None] for shift in (1, 0, -1, -2))
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve = (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * (start - end) + after - before) * t**3
    )
    return np.asarray(curve / 2).reshape(-1, points_PX.shape[1])


def rgb(values: ArrayLike) -> Colour:
    """A colour from three numbers, cut to 0-255."""
    red, green, blue = np.clip(np.asarray(values, dtype=np.float64), 0, 255).round().astype(int).tolist()
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker (factor below 1) or lighter."""
    return rgb([c * factor for c in colour])


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """A colour between two; ``share`` is the second's, from 0 to 1."""
    return rgb([a + (b - a) * share for a, b in zip(first, second, strict=True)])


class Canvas:
    """An RGB image painted in the crop's pixel coordinates, ``scale`` times as large as the crop.

    Brush widths are in face units of ``unit`` pixels.
    """

    def __init__(self, image: Image.Image, scale: float, unit: float) -> None:
        self.image = image
        self._scale, self._unit = scale, unit
        self._draw = ImageDraw.Draw(image, "RGBA")

    def _flat(self, points_PX: Points) -> list[float]:
        return list(((points_PX + 0.5) * self._scale - 0.5).ravel().tolist())

    def fill(self, points_PX: Points, colour: Paint) -> None:
        """Fill a closed loop."""
        self._draw.polygon(self._flat(points_PX), fill=colour)

    def stroke(self, points_PX: Points, colour: Paint, width: float) -> None:
        """Draw an open line."""
        self._draw.line(self._flat(points_PX), colour, max(1, round(width * self._unit * self._scale)), joint="curve")

    def disc(self, centre_X: Points, radius: float, colour: Paint) -> None:
        """Fill a circle."""
        x, y = self._flat(centre_X)
        r = radius * self._unit * self._scale
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
