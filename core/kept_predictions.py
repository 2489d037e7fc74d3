"""What a trial predicted for the validation faces, kept so that trials can be compared face by face."""

import os
import zipfile
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.metrics import Predictions

NAME = "validation.npz"
PARTS = ("gender_logits", "landmarks")


def write_predictions(folder: Path, predictions: Predictions) -> None:
    """Write ``validation.npz`` whole: ``gender_logits`` (N, 2) and ``landmarks`` (N, 5, 2) in pixels, as they exist."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{NAME}.{os.getpid()}.partial"
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
        raise UserError(f"{path}: not the predictions of a trial ({error})") from None
