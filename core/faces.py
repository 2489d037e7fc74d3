"""The arrays that training reads, decoded or drawn once and kept as a memory-mapped cache named by its content."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import synthetic
from core.annotations import read_annotations
from core.atomic import new_array, new_folder, write_text
from core.celeba import annotation_files, image_folder, read_celeba, scan_images
from core.checks import whole
from core.crop import RESIZED
from core.decoding import decode_images
from core.errors import UserError, first_line
from core.json_text import read_json
from core.names import CROP, LANDMARKS
from core.turns import Progress, alone

# Part of every cache's key: raise it when the same input gives other arrays. (Transparent pixels, which are white since
# version 2 has been in use, are in none of CelebA's images.)
VERSION = 2
LEAST_FACES = 20
IMAGES = "images.npy"
KINDS = {"landmarks": "f", "gender": "i", "identity": "i", "file": "U"}  # of the arrays beside the images


@dataclass(frozen=True, eq=False)
class Faces:
    """N faces. The images stay on disk until they are indexed."""

    images: NDArray[np.uint8]
    """RGB crops, memory-mapped and read-only, shape (N, 3, 224, 224)."""

    landmarks: NDArray[np.float32]
    """Crop pixels, shape (N, 5, 2)."""

    gender: NDArray[np.int64]
    identity: NDArray[np.int64]
    file: NDArray[np.str_]

    identity_known: bool
    """False if each image was taken for a person of its own, for want of an identity file."""

    fingerprint: str
    """SHA-256 of the image files (of the pixels, if drawn), how they are cropped, landmarks, labels and names."""

    source: str
    """``drawn`` or the CelebA folder."""

    def __len__(self) -> int:
        return len(self.gender)

    @property
    def images_path(self) -> Path:
        """The ``.npy`` file behind ``images``."""
        assert isinstance(self.images, np.memmap)
        return Path(str(self.images.filename))


def load_celeba_faces(folder: Path, cache: Path, progress: Progress | None = None) -> Faces:
    """The faces of a CelebA folder; decoded on all cores the first time, opened from ``cache`` after that.

    The cache's key is the bytes of the annotation files and the name, size and time of every image.

    Raises:
        UserError: bad annotations, a damaged image, a landmark outside its image, or a cache that cannot be written.
    """

    def build(partial: Path) -> None:
        table = read_celeba(folder)
        _new_images(partial, len(table.file))
        landmarks, digests = decode_images(table, partial / IMAGES, progress)
        _save(partial, digests, landmarks, table.gender, table.identity, table.file, table.identity_known)

    return _cached(cache / f"faces-{_celeba_key(folder)}", str(folder), build, progress)


def load_drawn_faces(count: int, seed: int, cache: Path, progress: Progress | None = None) -> Faces:
    """``count`` drawn faces of a seed, each an identity of its own, drawn once and then opened from ``cache``.

    Raises:
        UserError: fewer than 20 faces, a seed below 0, or a cache that cannot be written.
    """
    whole(LEAST_FACES, 10**6)("the number of drawn faces", count)
    whole(0, 2**32 - 1)("seed", seed)

    def build(partial: Path) -> None:
        images = _new_images(partial, count)
        _, landmarks, gender = synthetic.draw_faces(count, seed, progress, out=images)
        digests = [hashlib.sha256(image).digest() for image in images]
        file = np.array([f"drawn-{index:06}" for index in range(count)])
        _save(partial, digests, landmarks, gender, np.arange(count), file, identity_known=True)

    return _cached(cache / f"faces-{_key('drawn', synthetic.VERSION, count, seed)}", "drawn", build, progress)


def _celeba_key(folder: Path) -> str:
    annotations = [path for path in annotation_files(folder) if path is not None]
    stats = scan_images(image_folder(folder))
    images = [(name, stat.size, stat.mtime_ns) for name, stat in sorted(stats.items()) if not _is_litter(name)]
    return _key([(path.name, hashlib.sha256(read_annotations(path)).hexdigest()) for path in annotations], images)


def _is_litter(name: str) -> bool:
    """Whether systems that show folders leave such a file in them, which is no image."""
    return name.startswith(".") or name in ("Thumbs.db", "desktop.ini")


def _key(*parts: object) -> str:
    return hashlib.sha256(repr((VERSION, RESIZED, CROP, parts)).encode()).hexdigest()[:16]


def _cached(folder: Path, source: str, build: Callable[[Path], None], progress: Progress | None) -> Faces:
    """Open a cache, after building it if need be; of several processes one builds and the others wait for it."""
    if not folder.exists():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with alone(folder.with_name(f"{folder.name}.lock"), progress):
                if not folder.exists():
                    with new_folder(folder, folder.with_name(f".{folder.name}.partial")) as partial:
                        build(partial)
        except OSError as error:  # the readers of images and annotations turn theirs into UserError
            raise UserError(f"{folder}: cannot write the cache ({error.strerror or error})") from None
    return _open(folder, source)


def _open(folder: Path, source: str) -> Faces:
    try:
        with warnings.catch_warnings(action="error"):  # numpy's, of headers that it does not write
            arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in KINDS}
            images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
        meta = read_json(folder / "meta.json")
        known, fingerprint = bool(meta["identity_known"]), str(meta["fingerprint"])
        shapes = {"landmarks": (len(LANDMARKS), 2)}
        for name, array in arrays.items():
            if array.dtype.kind != KINDS[name] or array.shape != (len(images), *shapes.get(name, ())):
                raise ValueError(f"{name} is {array.dtype} {array.shape}")
        if images.dtype != np.uint8 or images.shape[1:] != (3, CROP, CROP):
            raise ValueError(f"images are {images.dtype} {images.shape}")
        return Faces(images=images, **arrays, identity_known=known, fingerprint=fingerprint, source=source)
    except Exception as error:  # a damaged array raises whatever its header makes numpy do
        reason = f"delete it to have it remade ({first_line(error)})"
        raise UserError(f"{folder}: must be a whole cache of faces; {reason}") from None


def _new_images(folder: Path, count: int) -> NDArray[np.uint8]:
    shape = (count, 3, CROP, CROP)
    need, free = int(np.prod(shape)), shutil.disk_usage(folder).free
    if free < need:
        raise UserError(
            f"{folder.parent}: {count} faces need {need / 1e9:.1f} GB of disk, {free / 1e9:.1f} GB are free; "
            "choose another --cache"
        )
    return new_array(folder / IMAGES, np.uint8, shape)


def _save(
    folder: Path,
    digests: list[bytes],
    landmarks: NDArray[np.float32],
    gender: NDArray[np.int64],
    identity: NDArray[np.int64],
    file: NDArray[np.str_],
    identity_known: bool,
) -> None:
    arrays: dict[str, NDArray[Any]] = {"landmarks": landmarks, "gender": gender, "identity": identity}
    content = hashlib.sha256(repr((VERSION, RESIZED, CROP)).encode() + b"".join(digests))
    for name, array in arrays.items():
        content.update(array.tobytes())
        np.save(folder / f"{name}.npy", array)
    content.update("\n".join(file.tolist()).encode())
    np.save(folder / "file.npy", file)
    write_text(folder / "meta.json", json.dumps({"fingerprint": content.hexdigest(), "identity_known": identity_known}))
