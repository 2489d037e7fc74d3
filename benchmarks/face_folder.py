"""Drawn faces as a CelebA folder of JPEG files, and the plainest loop that decodes it, to compare with."""

import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from pathlib import Path
from threading import Barrier

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.celeba import ATTRIBUTES_FILE, GENDER_ATTRIBUTE, IDENTITY_FILE, IMAGE_FOLDER, LANDMARK_COLUMNS, LANDMARKS_FILE
from core.cores import cores
from core.faces import Faces
from core.names import CROP

SIZE = (178, 218)  # of CelebA's aligned images, width and height
TOP = (SIZE[1] - SIZE[0]) // 2  # rows of plain colour above and below the square drawn face
QUALITY = 85
_start: Barrier  # of one of several processes that begin together
LARGEST_JPEG = 8_000  # bytes, more than a drawn face takes; CelebA's own files have 6,600 on average


def write_face_folder(drawn: Faces, count: int, out: Path, progress: Callable[[int, int], None]) -> None:
    """``count`` JPEG files with annotations, each of a person of its own; the faces of ``drawn`` again and again.

    Decoding costs the same whether a picture comes once or many times, and drawing takes ten times as long.
    """
    (out / IMAGE_FOLDER).mkdir(parents=True)
    names = [f"{row + 1:06}.jpg" for row in range(count)]
    files: list[bytes] = []
    for row, name in enumerate(names):
        if row < len(drawn):
            files.append(_jpeg(drawn.images[row]))
        (out / IMAGE_FOLDER / name).write_bytes(files[row % len(files)])
        progress(row + 1, count)
    # A pixel is 1 wide and its centre a whole number, so shrinking scales x + 1/2.
    points = (drawn.landmarks + 0.5) * (SIZE[0] / CROP) - 0.5 + np.array([0, TOP])
    spots = [" ".join(f"{value:.2f}" for value in face.ravel()) for face in points]
    labels = [" 1" if gender else "-1" for gender in drawn.gender]
    tables = {
        ATTRIBUTES_FILE: [str(count), GENDER_ATTRIBUTE, *_lines(names, labels)],
        LANDMARKS_FILE: [str(count), " ".join(LANDMARK_COLUMNS), *_lines(names, spots)],
        IDENTITY_FILE: [f"{name} {row + 1}" for row, name in enumerate(names)],
    }
    for name, lines in tables.items():
        (out / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _lines(names: list[str], values: list[str]) -> list[str]:
    return [f"{name} {values[row % len(values)]}" for row, name in enumerate(names)]


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    face = Image.fromarray(image.transpose(1, 2, 0)).resize((SIZE[0], SIZE[0]), Image.Resampling.BILINEAR)
    whole = Image.new("RGB", SIZE, face.getpixel((0, 0)))
    whole.paste(face, (0, TOP))
    file = BytesIO()
    whole.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def plain_loop(images: Path, count: int) -> NDArray[np.uint8]:
    """The first ``count`` images as anyone would decode them: one process, one loop, no checks, into an array.

    The numbers are torchvision's ``Resize(256)`` and ``CenterCrop(224)`` for an image of 178 x 218.
    """
    found = np.empty((count, 3, CROP, CROP), np.uint8)
    for row in range(count):
        with Image.open(images / f"{row + 1:06}.jpg") as image:
            face = image.convert("RGB").resize((256, 313), Image.Resampling.BILINEAR).crop((16, 44, 240, 268))
        found[row] = np.asarray(face).transpose(2, 0, 1)
    return found


def busy_plain_rate(images: Path, count: int) -> float:
    """Images a second of a plain loop while every core runs one, in processes of their own; the mean over the cores."""
    processes = cores()
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, initializer=_meet_at, initargs=(start,)) as pool:
        return statistics.mean(pool.map(_timed_plain_loop, [images] * processes, [count] * processes))


def _meet_at(start: Barrier) -> None:
    global _start
    _start = start


def _timed_plain_loop(images: Path, count: int) -> float:
    _start.wait()  # for the other cores; loading modules is over by now
    begun = time.perf_counter()
    plain_loop(images, count)
    return count / (time.perf_counter() - begun)
