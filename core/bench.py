"""The test faces and what it takes to put a model to them."""

from pathlib import Path

import numpy as np
import torch

from core.activations import FrozenActivations
from core.config import Config
from core.device import GpuError
from core.errors import UserError
from core.examples import BatchSource, Examples
from core.faces import Faces
from core.inference import inference_ms
from core.metrics import Predictions
from core.names import Precision
from core.prediction import predict
from core.preparation import Reporter
from core.splits import Split
from core.weights import Weights
from core.winner import Winner, load_model


class Bench:
    """Runs winners on the test faces, one seed's model in memory at a time.

    What leaves the frozen blocks is the same for every winner and seed, whose frozen layers are the backbone's; it is
    computed once for each number of blocks and precision, and kept in ``cache``.
    """

    def __init__(
        self, faces: Faces, split: Split, backbone: Weights, device: torch.device, cache: Path, report: Reporter
    ) -> None:
        self.faces = faces
        self.rows = split.test
        self.backbone = backbone
        self.device = device
        self.cache = cache
        self.report = report
        self._read: dict[tuple[int, Precision], Examples] = {}

    def run(self, winner: Winner) -> tuple[list[Predictions], float]:
        """Predictions of each seed, and the milliseconds that the whole network takes for a face."""
        precision = winner.config.training.precision
        source = BatchSource(self._examples(winner.config), self.device)
        runs = []
        for number, folder in zip(winner.replicates, winner.folders, strict=True):
            progress = self.report(f"{winner.label}, seed {number}: predicting {len(self.rows)} faces")
            model = load_model(self.backbone, winner, folder, self.device)
            runs.append(predict(model, source, precision, progress))
            if folder is not winner.folders[-1]:
                del model  # the next one is not made beside it
        self.report(f"{winner.label}: timing one face")
        image = np.array(self.faces.images[self.rows[0]])  # a copy: torch warns of what it may not write to
        return runs, inference_ms(model, image, precision, self.device)

    def _examples(self, config: Config) -> Examples:
        blocks = config.model.frozen_blocks if config.training.activation_cache else 0
        key = (blocks, config.training.precision)
        if key not in self._read:
            path = self._activations(*key) if blocks else None
            inputs = self.faces.images if path is None else np.load(path, mmap_mode="r")
            rows = self.rows if path is None else np.arange(len(self.rows), dtype=np.int64)
            landmarks = self.faces.landmarks[self.rows]
            self._read[key] = Examples(inputs, rows, landmarks, self.faces.gender[self.rows])
        return self._read[key]

    def _activations(self, blocks: int, precision: Precision) -> Path | None:
        """The file of what leaves the frozen blocks; None where it cannot be had, as for want of room."""
        faces, backbone = self.faces, self.backbone
        progress = self.report(f"activations of {blocks} frozen block{'s' if blocks > 1 else ''}, {precision}")
        try:
            file = FrozenActivations(
                faces.images, self.rows, faces.fingerprint, backbone, blocks, precision, self.device, self.cache
            )
            return file.computed(progress)
        except GpuError:  # whole faces would need it too
            raise
        except UserError as error:  # the test split has been opened by now, so an end here would be no end
            self.report(f"note: {error}; reading whole faces instead")
            return None
