"""What a search works with: faces and their split, weights, prepared inputs, workers and precision."""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from core.augmentation import Augmentation
from core.config import Config, config_from_flat
from core.crop import faces_cut_off
from core.device import best_precision, device_at_hand
from core.errors import UserError
from core.folds import fold_faces
from core.metrics import baseline_scores
from core.models import IMAGENET_WIDTH
from core.names import SELF_ATTENTION, Architecture, AttentionKind, Precision
from core.preparation import (
    AUTO,
    DRAWN,
    IMAGENET,
    RANDOM,
    Inputs,
    load_faces,
    load_weights,
    prepare_inputs,
    told_source,
)
from core.random_filters import CALIBRATED
from core.splits import split_faces
from core.weights import Weights
from tune.cluster import precision_of_workers
from tune.depot import Depot
from tune.machine import Workers
from tune.plan import Plan
from tune.progress import Counter
from tune.trainable import inputs_of

CHANGED = {
    "data_fingerprint": "the faces are not those that it began with; --data says where these are",
    "split_fingerprint": "the faces are divided otherwise than when it began",
    "weights_sha256": "the weights are not those that it began with; --weights names their file (random filters are in "
    "the --cache of its first start)",
    "precision": "it began in another precision",
}
SAME = tuple(CHANGED)
"""What a resumed run must have in common with its beginning."""
READING = {key: Config().flat()[key] for key in ("frozen_blocks", "activation_cache", "flip", "augmentation", "views")}
"""The settings that decide which inputs a trial reads, and their defaults."""


@dataclass(frozen=True)
class Place:
    """Where a search runs, as opposed to what it searches."""

    cache: Path
    workers: Workers
    precision: Precision | None = None
    """Of the run that is resumed."""
    trial_timeout: float | None = None
    """Seconds without an epoch after which a trial counts as hanging; None: it may take any time."""
    cluster: bool = False
    """Whether workers may be on machines that do not have this one's cache."""
    cache_everywhere: Path | None = None
    """The cache folder of all nodes; None for each node's own default."""


def uses_imagenets_head(plan: Plan) -> bool:
    """Whether a model of the space has heads that ImageNet's own could start: as wide, and not behind self-attention.

    Trials of one config must start alike in every space that gives it.
    """
    space = plan.search_space()
    widest = max(int(width) for width in space.values_of("head_width", IMAGENET_WIDTH))
    kinds = space.values_of("attention", str(AttentionKind.SELF))
    behind = set(plan.architectures()) == {Architecture.ATTENTION} and set(kinds) <= set(map(str, SELF_ATTENTION))
    return widest >= IMAGENET_WIDTH and not behind


class Materials:
    """Everything that is prepared once, before the first trial."""

    def __init__(self, plan: Plan, place: Place, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.workers = place.workers
        # A driver on a cluster's head may see no GPU while its workers have some: what is asked for decides.
        self.worker_device = torch.device("cuda" if place.workers.gpus else "cpu")
        self.device = device_at_hand() if place.workers.gpus else torch.device("cpu")
        space = plan.search_space()
        fixed = config_from_flat(space.fixed)
        self.precision = self._precision(fixed, place, say)
        self.faces = load_faces(plan.data, plan.drawn_faces, place.cache, Counter)
        self.split = split_faces(self.faces.gender, self.faces.identity, fixed.data.split_seed)
        if not self.faces.identity_known:
            say(f"note: {plan.data} has no identity file, so images of one person may be in several parts of the split")
        outside = faces_cut_off(self.faces.landmarks)
        if outside:
            say(
                f"note: {outside} of {len(self.faces)} faces have a landmark outside the crop, where no model sees it "
                "(it is the middle of the image, seven eighths of the shorter side)"
            )
        self.weights = self._weights(place.cache, say)
        self.augmentations = self._augmentations()
        self.inputs: dict[int, Inputs] = prepare_inputs(
            self.faces,
            self.split,
            self.weights,
            self._blocks(),
            self.precision,
            self.device,
            place.cache,
            Counter,
            fold_faces(self.split, self.faces.gender, self.faces.identity, plan.all_folds(), fixed.data.split_seed),
            self.augmentations,
        )
        self.trial_timeout = place.trial_timeout
        files = [given.path for given in self.inputs.values()]
        files += [kept.path for given in self.inputs.values() for kept in given.views.values()]
        self.cache_everywhere = place.cache_everywhere
        self.depot = Depot(files, place.cache, place.cache_everywhere) if place.cluster else None

    def with_plan(self, plan: Plan) -> "Materials":
        """The same faces, weights and inputs for another plan on them.

        Raises:
            ValueError: it freezes numbers of blocks, or changes faces in ways, that this one does not have.
        """
        other = copy.copy(self)
        other.plan = plan
        if other._blocks() - set(self.inputs):
            raise ValueError(f"the inputs are of {sorted(self.inputs)} frozen blocks, needed are {other._blocks()}")
        if other._augmentations() - self.augmentations:
            raise ValueError(f"views are of {self.augmentations}, needed are {other._augmentations()}")
        return other

    def _precision(self, fixed: Config, place: Place, say: Callable[[str], None]) -> Precision:
        asked = fixed.training.precision
        if asked is not Precision.AUTO:
            return asked
        if place.precision is None and self.worker_device.type != self.device.type:
            return precision_of_workers(place.workers.gpus, place.cache, say)
        return place.precision or best_precision(self.device, place.cache)

    def _weights(self, cache: Path, say: Callable[[str], None]) -> Weights:
        """The weights, without ImageNet's own head (half a gigabyte) where no model of the space could use it."""
        weights = load_weights(self.plan.weights, self.faces, self.split, cache, say, Counter)
        if not uses_imagenets_head(self.plan):
            return weights.without_head()
        if not weights.with_head and not weights.source.startswith(CALIBRATED):
            say(f"note: {weights.source} has convolutions alone, so heads of {IMAGENET_WIDTH} start at random too")
        return weights

    def _blocks(self) -> set[int]:
        """Numbers of frozen blocks whose activations are wanted; 0 stands for the faces themselves."""
        return {blocks for blocks, _ in self._readings()}

    def _augmentations(self) -> set[Augmentation]:
        """Those of which views are wanted."""
        return {augmentation for _, augmentation in self._readings() if augmentation is not None}

    def _readings(self) -> list[tuple[int, Augmentation | None]]:
        """What :func:`tune.trainable.inputs_of` may say of a trial."""
        space = self.plan.search_space()
        values = {key: space.values_of(key, default) for key, default in READING.items()}
        values["frozen_blocks"] = self.plan.frozen_blocks()
        ways = itertools.product(*values.values())
        return [inputs_of(config_from_flat(dict(zip(values, way, strict=True)))) for way in ways]

    def settled_plan(self) -> dict[str, Any]:
        """The plan as a resumed run will need it, from any folder and whatever is within reach by then."""
        return {**self.plan.to_json(), **self.places()}

    def places(self) -> dict[str, str]:
        """Where its faces and weights are, likewise."""
        data = self.plan.data if self.plan.data == DRAWN else str(Path(self.plan.data).resolve())
        weights = self.plan.weights
        if weights == AUTO:
            weights = RANDOM if self.weights.source.startswith(CALIBRATED) else IMAGENET
        elif weights not in (RANDOM, IMAGENET):
            weights = str(Path(weights).resolve())
        return {"data": data, "weights": weights}

    def told_faces(self) -> str:
        """How many faces from where, in words."""
        return f"{len(self.faces)} {told_source({'data': self.plan.data})}"

    def identity(self) -> dict[str, Any]:
        """What was used, for ``search.json``."""
        return {
            "faces": len(self.faces),
            "identity_known": self.faces.identity_known,
            "data_fingerprint": self.faces.fingerprint,
            "split_fingerprint": self.split.fingerprint(self.faces.file),
            "weights": self.weights.source,
            "weights_sha256": self.weights.digest,
            "precision": str(self.precision),
        }

    def check_same(self, recorded: dict[str, Any], place: str) -> None:
        """Refuse to go on with other faces, another split, other weights or another precision.

        Raises:
            UserError: one of them has changed; ``place`` names the file that says so.
        """
        now = self.identity()
        for key in SAME:
            if recorded.get(key) != now[key]:
                was, others = recorded.get(key), CHANGED[key]
                raise UserError(f"{place}: {others} ({key} was {str(was)[:16]}, now it is {str(now[key])[:16]})")

    def baseline(self) -> dict[str, float]:
        """What knowing nothing scores on the validation faces."""
        return baseline_scores(self.inputs[0].train.truth, self.inputs[0].validation.truth)
