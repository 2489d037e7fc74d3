"""Tensors in files: torch's own read without running code from them or hanging on them, safetensors written whole."""

import pickletools
import warnings
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from core.atomic import flush, naming

LONGEST_TEXT = 1000  # characters of a name in such a file; ours and VGG-16's have some dozens
MOST_PICKLED = 64 * 2**20  # bytes of names and structure; the tensors themselves lie apart
OLD_FORMAT_PICKLES = 5  # that stand before the tensors in files of torch 1.5 and older


def load_tensors(path: Path) -> Any:
    """Tensors in plain containers, on the CPU.

    Raises:
        Exception: of many types, if the file is damaged or holds anything else.
    """
    with warnings.catch_warnings(action="error"):  # of texts that no file of ours holds
        _check_texts(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _check_texts(path: Path) -> None:
    """Refuse long texts: torch searches its own error message, which quotes them, in time that grows as their square.

    A name of 200,000 letters would hang it for minutes.
    """
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":  # as torch itself tells the formats apart
            with zipfile.ZipFile(file) as archive:
                for entry in archive.infolist():
                    if entry.filename.endswith("data.pkl") and entry.file_size <= MOST_PICKLED:
                        _check_pickle(BytesIO(archive.read(entry)))
                    elif entry.filename.endswith("data.pkl"):
                        raise ValueError("its directory of tensors is too large")
            return
        file.seek(0)
        for _ in range(OLD_FORMAT_PICKLES):
            _check_pickle(file)


def _check_pickle(file: IO[bytes]) -> None:
    for _, argument, _ in pickletools.genops(file):  # only reads; nothing is built or imported
        if isinstance(argument, str | bytes | bytearray) and len(argument) > LONGEST_TEXT:
            raise ValueError(f"it holds a text of {len(argument)} characters")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file; what could not be finished is removed, as the room may be all that others wait for.

    Raises:
        OSError: it could not be written.
    """
    try:
        with naming(path):
            save_file(dict(tensors), path, dict(metadata) if metadata is not None else None)
            flush(path)  # whatever says that it is there must not outlive it
    except SafetensorError as error:  # its word for a full disk
        path.unlink(missing_ok=True)
        raise OSError(str(error)) from None
    except OSError:
        path.unlink(missing_ok=True)
        raise


def tensor_bytes(state: object) -> int:
    """Bytes of the tensors in plain containers."""
    if isinstance(state, Tensor):
        return state.nbytes
    if isinstance(state, Mapping):
        return sum(map(tensor_bytes, state.values()))
    return sum(map(tensor_bytes, state)) if isinstance(state, list | tuple) else 0
