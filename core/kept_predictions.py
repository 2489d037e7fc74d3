"""Predictions of one model for a set of faces, kept so that models can be compared face by face."""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from core.atomic import new_file
from core.errors import UserError, first_line
from core.metrics import Predictions
from core.names import LANDMARKS

PREDICTIONS = "predictions.npz"
SHAPES: dict[str, tuple[int, ...]] = {"gender_logits": (2,), "landmarks": (len(LANDMARKS), 2)}
"""Of one face."""
PARTS = tuple(SHAPES)
HEADER_BYTES = 4096  # of a ``.npy`` file: more than its header takes


def write_predictions(folder: Path, predictions: Predictions) -> None:
    """Write ``predictions.npz`` whole: ``gender_logits`` (N, 2) and ``landmarks`` (N, 5, 2; pixels), if any."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {name: part for name in PARTS if (part := getattr(predictions, name)) is not None}
    with new_file(folder / PREDICTIONS) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **known)


def read_predictions(folder: Path, faces: int) -> Predictions:
    """What :func:`write_predictions` left in ``folder``, for so many faces.

    Raises:
        UserError: it is missing, damaged, or of other faces.
    """
    path = folder / PREDICTIONS
    try:
        # Warnings are numpy's, of headers that it does not write itself.
        with warnings.catch_warnings(action="error"), np.load(path, allow_pickle=False) as parts:
            _check_sizes(parts, faces)
            found = {name: parts[name] for name in PARTS if name in parts}
        for name, array in found.items():
            if array.shape != (faces, *SHAPES[name]) or array.dtype.kind != "f" or not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite numbers for {faces} faces")
    except Exception as error:  # damaged archives and headers raise many types
        raise UserError(f"{path}: not the predictions of a model ({first_line(error)})") from None
    return Predictions(**found)


def _check_sizes(parts: Any, faces: int) -> None:
    """Refuse what would unpack to more than the predictions can be; the archive's own directory says how much."""
    if not isinstance(parts, np.lib.npyio.NpzFile):
        raise ValueError("it must be an archive of arrays")
    if not set(PARTS) & set(parts.files):
        raise ValueError(f"it must hold {' or '.join(PARTS)}")
    assert parts.zip is not None
    most = HEADER_BYTES + 8 * faces * max(math.prod(shape) for shape in SHAPES.values())
    if any(entry.file_size > most for entry in parts.zip.infolist()):
        raise ValueError(f"an array of {faces} faces has at most {most} bytes, one here has more")
