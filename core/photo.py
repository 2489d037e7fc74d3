"""A winner put to photos of any size: gender with its probability, landmarks in the photo's own pixels, drawings.

Nothing looks for a face: what a model says is only worth something where the photo shows one face as those that it was
trained on do, upright, whole and in the middle.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.celeba import LANDMARK_COLUMNS
from core.crop import crop_face, orientation, photo_landmarks, read_face
from core.errors import UserError
from core.examples import BatchSource, Examples
from core.metrics import man_probability
from core.models import FaceModel
from core.names import GENDERS, LANDMARKS, Precision
from core.prediction import predict

AT_ONCE = 64  # photos whose crops are in memory
DRAWN_SIDE = 448  # pixels of a drawing's shorter side at least: smaller photos are drawn larger
TURNS = {  # what sets a picture upright, by how EXIF says that it lies
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MARK = "#00E5FF"  # bright, and no colour of skin or hair


@dataclass(frozen=True, eq=False)
class Photo:
    """What a model says of one photo; None for what it does not predict."""

    path: Path
    size: tuple[int, int]
    """Width and height."""
    probability_man: float | None
    landmarks: NDArray[np.float32] | None
    """(5, 2), pixels of the photo as it stands upright; they may lie outside it."""

    @property
    def gender(self) -> str | None:
        """The likelier one; a tie is a woman, as in the scores."""
        return None if self.probability_man is None else GENDERS[int(self.probability_man > 0.5)]

    def caption(self) -> str:
        """Gender with its probability, or nothing."""
        if self.probability_man is None:
            return ""
        return f"{self.gender}, {100 * max(self.probability_man, 1 - self.probability_man):.0f} %"


def open_photo(path: Path) -> Image.Image:
    """A JPEG or PNG file as RGB, turned upright if its camera noted that it lies on its side.

    Raises:
        UserError: the file cannot be read, is damaged, or is too large or too long to be a face.
    """
    _, image = read_face(path)
    turn = TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def look_at(
    model: FaceModel, paths: Sequence[Path], precision: Precision, device: torch.device, progress: Callable[[int], None]
) -> list[Photo]:
    """Put a model to photos, all of which can be opened.

    Args:
        progress: hears how many are done.

    Raises:
        UserError: a photo cannot be read, or the model overflows.
    """
    found: list[Photo] = []
    for start in range(0, len(paths), AT_ONCE):
        sizes, crops = zip(*map(_size_and_crop, paths[start : start + AT_ONCE]), strict=True)
        count = len(crops)
        unknown = np.zeros((count, len(LANDMARKS), 2), np.float32), np.zeros(count, np.int64)
        faces = Examples(np.stack(crops), np.arange(count), *unknown)
        said = predict(model, BatchSource(faces, device), precision)
        for answer in (said.gender_logits, said.landmarks):
            finite = np.ones(count, bool) if answer is None else np.isfinite(answer).reshape(count, -1).all(axis=1)
            if not finite.all():
                raise UserError(f"{paths[start + int(finite.argmin())]}: the model's answer to it is not finite")
        for row, size in enumerate(sizes):
            probability = landmarks = None
            if said.gender_logits is not None:
                probability = float(man_probability(said.gender_logits[row : row + 1])[0])
            if said.landmarks is not None:
                landmarks = photo_landmarks(said.landmarks[row], size)
            found.append(Photo(paths[start + row], size, probability, landmarks))
        progress(len(found))
    return found


def _size_and_crop(path: Path) -> tuple[tuple[int, int], NDArray[np.uint8]]:
    image = open_photo(path)
    return image.size, np.asarray(crop_face(image)).transpose(2, 0, 1)


def photo_table(photos: Sequence[Photo]) -> pd.DataFrame:
    """A row a photo: ``image, gender, probability_man, lefteye_x ... rightmouth_y``; empty where a model is silent."""
    rows = []
    for photo in photos:
        points: list[Any] = [None] * len(LANDMARK_COLUMNS)
        if photo.landmarks is not None:
            points = photo.landmarks.astype(np.float64).round(2).ravel().tolist()
        probability = None if photo.probability_man is None else round(photo.probability_man, 6)
        name = str(photo.path).encode(errors="backslashreplace").decode()  # it may be of bytes that are no UTF-8
        rows.append([name, photo.gender, probability, *points])
    return pd.DataFrame(rows, columns=["image", "gender", "probability_man", *LANDMARK_COLUMNS])


def drawn_photo(photo: Photo, image: Image.Image) -> Image.Image:
    """The photo with a cross at each landmark, and below it what the model says of gender."""
    scale = max(1, -(-DRAWN_SIDE // min(image.size)))
    width, height = (scale * side for side in image.size)
    type_size = max(16, min(width, height) // 24)
    band = 2 * type_size if photo.caption() else 0
    picture = Image.new("RGB", (width, height + band), "white")
    picture.paste(image.resize((width, height), Image.Resampling.BICUBIC))
    pen = ImageDraw.Draw(picture)
    arm, line = max(5, min(width, height) // 50), max(2, min(width, height) // 250)
    for x, y in [] if photo.landmarks is None else (photo.landmarks + 0.5) * scale - 0.5:
        for colour, thick in (("black", 3 * line), (MARK, line)):  # a halo, so that it shows on any ground
            pen.line((x - arm, y, x + arm, y), colour, thick)
            pen.line((x, y - arm, x, y + arm), colour, thick)
    if band:
        pen.text(
            (width / 2, height + band / 2), photo.caption(), "black", ImageFont.load_default(type_size), anchor="mm"
        )
    return picture
