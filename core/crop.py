"""From an image file to the square crop that the network sees, and landmarks with it (section II.C).

Shorter side to 256, centre crop of 224, rounding as torchvision's ``Resize`` and ``CenterCrop`` do it.
Landmarks have shape (5, 2), in the order of ``core.names.LANDMARKS`` and (x, y).
"""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from core.errors import UserError
from core.names import CROP, LANDMARKS

RESIZED = 256  # shorter side in pixels before the crop
MOST_PIXELS = 50_000_000  # decoded on every core at once, so 150 MB a core at most
MOST_BYTES = 4 * MOST_PIXELS  # of a file; whole JPEG and PNG images of so many pixels are smaller
NOTES = ("exif", "Raw profile type exif", "XML:com.adobe.xmp")  # where a PNG file says how its camera was held
ORIENTATION, UPRIGHT = 0x0112, 1  # of EXIF
LONGEST = 10  # greatest ratio of an image's sides: resizing a long strip would fill the memory

# Pillow refuses images above twice its own limit (89 million) and warns of those above it; we refuse smaller ones.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
# What a camera noted beside the picture; where that is damaged the picture is not.
for _noted in ("Corrupt EXIF data", "Image appears to be a malformed MPO file"):
    warnings.filterwarnings("ignore", _noted, module=r"PIL\.")


def read_face(path: Path) -> tuple[bytes, Image.Image]:
    """A JPEG or PNG file's bytes and, wholly decoded, its RGB image as stored (no turning by EXIF, as in CelebA).

    What is transparent is white.

    Raises:
        UserError: the file cannot be read, is damaged, or is too large or too long to be a face.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path}: must have at most {MOST_BYTES // 10**6} MB, it has more")
        encoded = path.read_bytes()
        with Image.open(io.BytesIO(encoded), formats=("JPEG", "PNG")) as image:
            if image.width * image.height > MOST_PIXELS:  # its header says so; nothing is decoded yet
                raise UserError(_too_many(path, f"{image.width} x {image.height}"))
            if min(image.size) < 1:
                raise UserError(f"{path}: must have at least one pixel, it has {image.width} x {image.height}")
            if max(image.size) > LONGEST * min(image.size):
                size = f"{image.width} x {image.height}"
                raise UserError(f"{path}: the longer side must be at most {LONGEST} times the shorter, got {size}")
            if image.mode.startswith("I"):
                raise UserError(f"{path}: must have 8 bits a channel, it has more")
            return encoded, _opaque(image)
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise many types for damaged files
        raise UserError(_trouble(path, error)) from None


def _trouble(path: Path, error: Exception) -> str:
    """What is wrong with a file, by what was raised."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return _too_many(path, "far more")
    if isinstance(error, UnidentifiedImageError):
        return f"{path}: must be a JPEG or PNG image, it is neither"
    if isinstance(error, OSError) and error.strerror:  # the file's own trouble, not the decoder's
        return f"{path}: cannot be read ({error.strerror})"
    reason = " ".join(str(error).split())
    return f"{path}: must be a whole JPEG or PNG image, decoding it failed ({reason})"


def _opaque(image: Image.Image) -> Image.Image:
    """RGB over white, as most viewers show it; pixels that cannot be seen may have any colour."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    found = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    found.info.update({key: seen.info[key] for key in NOTES if key in seen.info})
    return found


def orientation(image: Image.Image) -> int:
    """How EXIF says that a picture lies: 1 as it is stored, 2 to 8 turned or mirrored; 1 where nothing is said."""
    try:
        found = image.getexif().get(ORIENTATION, UPRIGHT)
    except Exception:  # a damaged note raises what its bytes make Pillow's reader do; the picture itself is whole
        return UPRIGHT
    return int(found) if found in range(UPRIGHT, 9) else UPRIGHT


def check_upright(image: Image.Image, path: Path) -> None:
    """Check that a picture with landmarks is stored as it is shown: in which of both ways they were drawn nobody knows.

    Raises:
        UserError: it is not.
    """
    found = orientation(image)
    if found != UPRIGHT:
        rule = "must be stored upright, with its landmarks so"
        raise UserError(f"{path}: {rule}; by its EXIF orientation ({found}) viewers turn it")


def _too_many(path: Path, size: str) -> str:
    return f"{path}: must have at most {MOST_PIXELS} pixels, it has {size}"


def crop_face(image: Image.Image) -> Image.Image:
    """The centre of a face image, 224 x 224."""
    resized, (left, top) = _geometry(image.size)
    return image.resize(resized, Image.Resampling.BILINEAR).crop((left, top, left + CROP, top + CROP))


def crop_landmarks(landmarks: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Landmarks in pixels of an image of ``size`` (width, height), in pixels of its crop; they may fall outside it."""
    resized, corner = _geometry(size)
    # A whole coordinate is the centre of a pixel, and a pixel is 1 wide: resizing scales x + 1/2, not x.
    scaled = (landmarks.astype(np.float64) + 0.5) * (np.array(resized) / np.array(size)) - 0.5
    cropped: NDArray[np.float64] = scaled - np.array(corner)
    return cropped.astype(np.float32)


def faces_cut_off(landmarks: NDArray[np.float32]) -> int:
    """Of how many faces (N, 5, 2; crop pixels) a landmark lies outside the crop."""
    return int(((landmarks < -0.5) | (landmarks >= CROP - 0.5)).any(axis=(1, 2)).sum())


def photo_landmarks(landmarks: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The way back from :func:`crop_landmarks`: from pixels of the crop to those of the image of ``size``."""
    resized, corner = _geometry(size)
    uncropped = landmarks.astype(np.float64) + np.array(corner)
    scaled: NDArray[np.float64] = (uncropped + 0.5) * (np.array(size) / np.array(resized)) - 0.5
    return scaled.astype(np.float32)


def check_landmarks(landmarks: NDArray[np.float32], size: tuple[int, int], path: Path) -> None:
    """Check that landmarks lie in their image of ``size`` (width, height).

    Raises:
        UserError: one does not.
    """
    bad = np.argwhere((landmarks < 0) | (landmarks >= np.array(size)))
    if len(bad):
        landmark, axis = bad[0]
        name, letter, value = LANDMARKS[landmark], "xy"[axis], landmarks[landmark, axis]
        raise UserError(f"{path}: landmark {name} must have 0 <= {letter} < {size[axis]}, got {value:g}")


def _geometry(size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size after the resize, and the crop's left and top in it, for an image of ``size`` (width, height)."""
    width, height = (int(RESIZED * side / min(size)) for side in size)
    return (width, height), (round((width - CROP) / 2), round((height - CROP) / 2))
