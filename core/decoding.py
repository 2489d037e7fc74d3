"""Decodes the images of a CelebA folder on all cores."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.celeba import CelebA
from core.cores import cores
from core.crop import check_landmarks, check_upright, crop_face, crop_landmarks, read_face

# Images that a thread does at a time. With one at a time a third of the time goes into waiting for other threads.
MOST = 50
Piece = tuple[int, list[Path], NDArray[np.float32]]  # the first row, image files, landmarks in pixels of the files
Decoded = tuple[NDArray[np.float32], list[bytes]]  # landmarks in crop pixels, SHA-256 of the files


def decode_images(table: CelebA, images: Path, progress: Callable[[int, int], None] | None) -> Decoded:
    """Fill ``images``, an ``.npy`` file of shape (N, 3, 224, 224).

    Returns:
        The landmarks in crop pixels, and each image file's SHA-256.

    Raises:
        UserError: an image is damaged or lies on its side, or a landmark outside it; of several the first is named.
    """
    paths = [table.images / file for file in table.file.tolist()]
    threads = cores()
    length = max(1, min(MOST, len(paths) // (4 * threads)))
    starts = range(0, len(paths), length)
    pieces = [(start, paths[start : start + length], table.landmarks[start : start + length]) for start in starts]
    landmarks, digests = np.empty_like(table.landmarks), list[bytes]()
    # Threads are enough: Pillow decodes and resizes without holding the interpreter's lock.
    with ThreadPoolExecutor(threads) as pool:
        for points, found in pool.map(partial(_decode, images), pieces):  # an error cancels what has not begun
            landmarks[len(digests) : len(digests) + len(found)] = points
            digests += found
            if progress is not None:
                progress(len(digests), len(paths))
    return landmarks, digests


def _decode(images: Path, piece: Piece) -> Decoded:
    """Decode a few images into their rows."""
    start, paths, landmarks = piece
    out = np.load(images, mmap_mode="r+")
    cropped, digests = np.empty_like(landmarks), []
    for row, path in enumerate(paths):
        encoded, image = read_face(path)
        check_upright(image, path)
        check_landmarks(landmarks[row], image.size, path)
        out[start + row] = np.asarray(crop_face(image)).transpose(2, 0, 1)
        cropped[row] = crop_landmarks(landmarks[row], image.size)
        digests.append(hashlib.sha256(encoded).digest())
    return cropped, digests
