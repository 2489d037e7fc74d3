"""Predictions of one model for a set of faces, kept so that models can be compared face by face."""

import zipfile
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.metrics import Predictions

NAME = "predictions.npz"
PARTS = ("gender_logits", "landmarks")


def write_predictions(folder: Path, predictions: Predictions) -> None:
    """Write ``predictions.npz`` whole: ``gender_logits`` (N, 2) and ``landmarks`` (N, 5, 2; pixels), if any."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{NAME}.partial"
    known = {name: part for name in PARTS if (part := getattr(predictions, name)) is not None}
    with partial.open("wb") as file:
        np.savez_compressed(file, **known)
    partial.replace(folder / NAME)


def read_predictions(folder: Path) -> Predictions:
    """What :func:`write_predictions` left in ``folder``.

    Raises:
        UserError: it is missing or damaged.
    """
    path = folder / NAME
    try:
        with np.load(path) as parts:
            return Predictions(**{name: parts[name] for name in PARTS if name in parts})
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not the predictions of a model ({error})") from None
