"""What surrounds a drawn head: the background, and the photographer's light, lens and film."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from core.drawing import Colour, rgb, shade
from core.names import CROP

SUPERSAMPLE = 2
SIDE = SUPERSAMPLE * CROP
ROUGH_SIDE = CROP // 2  # of the background as painted: it is out of focus, and blurring is what costs time
Colours = tuple[Colour, Colour, Colour]


@dataclass(frozen=True)
class Scene:
    """Background and photograph."""

    backdrop: str
    """A key of :data:`BACKDROPS`."""

    defocus: float
    """Standard deviation of the background's blur, in pixels of the crop."""

    colours: Colours
    """Of the background, RGB."""

    light: tuple[float, float]
    """Direction (x, y) to the lamp in the image; its length is the light's strength, from 0 to 1."""

    gain: tuple[float, float, float]
    """Exposure of red, green and blue: factors near 1."""

    contrast: float
    """Factor on the distance to mid-grey, near 1."""

    saturation: float
    """0 for a grey picture, 1 for full colour."""

    blur: float
    """Standard deviation in pixels of the crop."""

    noise: float
    """Standard deviation in grey levels of 255."""


def _blend(grid: NDArray[np.float64]) -> Image.Image:
    small = Image.fromarray(np.clip(grid, 0, 255).astype(np.uint8))
    return small.resize((ROUGH_SIDE, ROUGH_SIDE), Image.Resampling.BICUBIC)


def _gradient(colours: Colours, rng: np.random.Generator) -> Image.Image:
    first, second = np.array(colours[0], float), np.array(colours[1], float)
    along = rng.normal(0, 1, 2)
    y, x = np.mgrid[-0.5:0.5:8j, -0.5:0.5:8j]
    share = np.clip(0.5 + (along[0] * x + along[1] * y) / np.abs(along).sum(), 0, 1)[..., None]
    return _blend(first + share * (second - first))


def _clouds(colours: Colours, rng: np.random.Generator) -> Image.Image:
    cells = int(rng.integers(3, 12))
    grid = np.array(colours, float)[rng.integers(0, 3, (cells, cells))]
    return _blend(grid + rng.normal(0, 14, (cells, cells, 1)))


def _shapes(colours: Colours, rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (ROUGH_SIDE, ROUGH_SIDE), colours[0])
    draw = ImageDraw.Draw(image)
    for number in range(int(rng.integers(3, 14))):
        x, y = rng.uniform(-0.2, 1.0, 2) * ROUGH_SIDE
        width, height = rng.uniform(0.08, 0.5, 2) * ROUGH_SIDE
        paint = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        paint((x, y, x + width, y + height), fill=shade(colours[number % 3], rng.uniform(0.7, 1.2)))
    return image


def _stripes(colours: Colours, rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (ROUGH_SIDE, ROUGH_SIDE), colours[0])
    draw = ImageDraw.Draw(image)
    step, lean = rng.uniform(0.05, 0.25) * ROUGH_SIDE, rng.uniform(-0.4, 0.4) * ROUGH_SIDE
    upright = rng.random() < 0.6
    for number, start in enumerate(np.arange(-0.4 * ROUGH_SIDE, 1.4 * ROUGH_SIDE, step)):
        line = (start, 0, start + lean, ROUGH_SIDE) if upright else (0, start, ROUGH_SIDE, start + lean)
        draw.line(line, fill=colours[1 + number % 2], width=int(0.5 * step))
    return image


Painter = Callable[[Colours, np.random.Generator], Image.Image]
BACKDROPS: dict[str, Painter] = {"gradient": _gradient, "clouds": _clouds, "shapes": _shapes, "stripes": _stripes}


def sample_scene(rng: np.random.Generator) -> Scene:
    """A background and a photograph."""
    base = rng.uniform(10, 245) + rng.normal(0, 15, 3)
    colours = base + rng.normal(0, 30, (3, 1)) + rng.normal(0, 14, (3, 3))
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 1)
    red, green, blue = np.exp(rng.normal(0, 0.1) + rng.normal(0, 0.035, 3)).tolist()
    return Scene(
        backdrop=str(rng.choice(list(BACKDROPS))),
        defocus=rng.uniform(1, 5),
        colours=(rgb(colours[0]), rgb(colours[1]), rgb(colours[2])),
        light=(float(np.cos(angle) * strength), float(np.sin(angle) * strength)),
        gain=(red, green, blue),
        contrast=rng.uniform(0.8, 1.15),
        saturation=0.0 if rng.random() < 0.04 else rng.uniform(0.6, 1.0),
        blur=max(0.0, rng.uniform(-0.5, 0.9)),
        noise=rng.uniform(0, 4),
    )


def backdrop(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """The background at :data:`SUPERSAMPLE` times the crop's size."""
    rough = BACKDROPS[scene.backdrop](scene.colours, rng)
    blurred = rough.filter(ImageFilter.GaussianBlur(scene.defocus * ROUGH_SIDE / CROP))
    return blurred.resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def photograph(image: Image.Image, scene: Scene, rng: np.random.Generator) -> Image.Image:
    """The crop that a camera takes of a painted scene."""
    image = image.reduce(SUPERSAMPLE)
    if scene.blur > 0:
        image = image.filter(ImageFilter.GaussianBlur(scene.blur))
    image = ImageEnhance.Color(image).enhance(scene.saturation)
    across = np.linspace(-0.3, 0.3, CROP, dtype=np.float32)
    light = 1 + scene.light[0] * across[None, :] + scene.light[1] * across[:, None]
    gain = np.float32(scene.contrast) * light[..., None] * np.array(scene.gain, dtype=np.float32)
    grain = rng.standard_normal((CROP, CROP, 1), dtype=np.float32) * scene.noise
    pixels = np.asarray(image) * gain + (grain + 127.5 * (1 - scene.contrast)).astype(np.float32)
    return Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))
