"""A model as one ONNX file that runs without Tandem or torch, and proof that it says the same."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.atomic import new_file
from core.crop import RESIZED
from core.errors import UserError, first_line
from core.models import FaceModel, parameter_count
from core.names import CROP, LANDMARKS, MAN, Task

MOST_BYTES = 2**31  # of a protobuf file
TOLERANCE = 1e-4  # of a probability, and of a landmark in sides of the crop
PROBABILITY, POINTS = "probability_man", "landmarks"
ABOUT = {
    "photo": "one face, upright and in the middle, as in CelebA's aligned images: the eyes half-way down, about 0.22 "
    "of the shorter side apart; what is transparent is white",
    "faces": f"uint8 RGB (batch, 3, {CROP}, {CROP}): the upright photo's shorter side resized to {RESIZED} (bilinear, "
    f"antialiased, as Pillow does it), its centre {CROP} square",
    PROBABILITY: "(batch,), in [0, 1]",
    POINTS: f"(batch, 5, 2): x and y of {', '.join(LANDMARKS)} in pixels of the {CROP} square; left "
    "and right as the viewer sees them",
    "back_to_photo": f"a photo of w x h with s = min(w, h) is resized to W x H, int({RESIZED} w / s) x int({RESIZED} h "
    f"/ s); the square begins at X = round((W - {CROP}) / 2), Y = round((H - {CROP}) / 2), a half to the even number; "
    "the point is at ((x + X + 0.5) w / W - 0.5, (y + Y + 0.5) h / H - 0.5) of the photo; whole numbers are the "
    "centres of pixels",
}
ALWAYS = ("photo", "faces")
WITH = {PROBABILITY: (PROBABILITY,), POINTS: (POINTS, "back_to_photo")}


class Portable(nn.Module):
    """From uint8 crops (B, 3, 224, 224) to the probability of a man (B,) and landmarks (B, 5, 2) in crop pixels."""

    def __init__(self, model: FaceModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, faces: Tensor) -> tuple[Tensor, ...]:
        """What the model predicts of these two, in this order."""
        said = self.model(self.model.frozen_features(faces))
        found = []
        if Task.GENDER in said:
            found.append(said[Task.GENDER].softmax(dim=1)[:, MAN])
        if Task.LANDMARKS in said:
            found.append(said[Task.LANDMARKS] * CROP)
        return tuple(found)


def export_onnx(model: FaceModel, path: Path, notes: Mapping[str, str], faces: NDArray[np.uint8]) -> dict[str, float]:
    """Write ``model`` in float32 as an ONNX file, once the runtime has been seen to agree with torch on ``faces``.

    Args:
        notes: what the file says of itself, beside how to feed and read it.

    Returns:
        The largest difference by output: of probabilities, and of landmarks in sides of the crop.

    Raises:
        UserError: packages for ONNX are missing, the outputs differ by more than 1e-4, or the file cannot be written.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it, and says so less clearly
    except ImportError as error:
        raise UserError(f"--export: needs {error.name}: pip install -c constraints.txt -e '.[onnx]'") from None
    size = 4 * parameter_count(model)  # float32
    if size >= MOST_BYTES:
        raise UserError(f"{path}: an ONNX file holds less than 2.1 GB, this model has {size / 1e9:.1f} GB of weights")
    portable = Portable(model.cpu().float()).eval()
    outputs = [name for name, task in ((PROBABILITY, Task.GENDER), (POINTS, Task.LANDMARKS)) if task in model.heads]
    made = _program(portable, faces, outputs).model_proto
    told = [*ALWAYS, *(key for name in outputs for key in WITH[name])]
    onnx.helper.set_model_props(made, {**{key: ABOUT[key] for key in told}, **notes})
    try:
        with new_file(path) as partial:
            onnx.save(made, partial)
            session = onnxruntime.InferenceSession(partial, providers=["CPUExecutionProvider"])
            apart = _differences(portable, faces, outputs, session.run(outputs, {"faces": faces}))
            if not all(value <= TOLERANCE for value in apart.values()):  # NaN is no agreement either
                raise UserError(f"{path}: not written, its outputs differ from torch's by {apart}, above {TOLERANCE:g}")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({first_line(error)})") from None
    return apart


def _program(portable: Portable, faces: NDArray[np.uint8], outputs: list[str]) -> torch.onnx.ONNXProgram:
    with warnings.catch_warnings(action="ignore"), redirect_stdout(StringIO()):  # the exporter talks of its own insides
        program = torch.onnx.export(
            portable,
            (torch.from_numpy(faces),),
            input_names=["faces"],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program


@torch.no_grad()
def _differences(
    portable: Portable, faces: NDArray[np.uint8], outputs: list[str], found: Sequence[NDArray[np.float32]]
) -> dict[str, float]:
    units = {PROBABILITY: 1, POINTS: CROP}
    expected = portable(torch.from_numpy(faces))
    return {
        name: float(np.abs(values - right.numpy()).max()) / units[name]
        for name, values, right in zip(outputs, found, expected, strict=True)
    }
