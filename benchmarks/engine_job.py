"""One list of trials, written down for every engine that is to run it."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.face_folder import write_face_folder
from benchmarks.material import Material, load_material
from core.celeba import IMAGE_FOLDER
from core.config import config_from_flat
from core.device import device_at_hand
from core.faces import load_drawn_faces
from core.mini import build_mini
from core.names import CROP, Optimizer, Precision
from core.preparation import DRAWN
from core.seeds import derived_seed
from search_spaces.parameter import Choice
from search_spaces.space import Space
from tune.plan import Plan, grid_options
from tune.profile import Profile, settled_space

# So small because Adam and its kin first step by the sign of each gradient: at usual rates, rounding in another order
# grows within an epoch into scores that differ by percents, and nobody could tell it from other work.
RATES = (1e-7, 3e-7, 1e-6, 3e-6)
# RMSprop's first steps are ten times its rate: it averages squares from 0 with a weight of 0.01 and corrects nothing.
# At 3e-6 initial weights that differ by 1e-7 of themselves gave scores that differ by 1e-3 after two epochs.
SMALLER = {Optimizer.RMSPROP: (1e-8, 3e-8, 1e-7, 3e-7)}
TRIALS = [{"optimizer": str(kind), "lr": lr} for kind in Optimizer for lr in SMALLER.get(kind, RATES)]
SETTINGS: dict[str, Any] = {
    "architecture": "multitask",
    "landmark_loss": "l1",
    "lambda1": 1.0,
    "lambda2": 20.0,
    "batch_size": 15,
    "head_width": 512,
    "dropout": 0.5,
    "landmark_start": "torch",
    "precision": "fp32",
}


@dataclass(frozen=True)
class Job:
    """A list of trials as files: ``job.json`` for loops and peers, ``space.json`` for Tandem."""

    home: Path
    blocks: int
    trials: tuple[dict[str, Any], ...]
    """Optimiser and learning rate of each."""
    epochs: int
    data: Path
    weights: str
    cache: Path

    @property
    def file(self) -> Path:
        """What loops and peers read."""
        return self.home / "job.json"

    @property
    def space(self) -> Path:
        """What Tandem reads."""
        return self.home / "space.json"


def face_folder(given: argparse.Namespace, people: int, out: Path) -> Path:
    """A CelebA folder of so many faces: chosen from the given one, or drawn."""
    if given.data != DRAWN:
        return build_mini(Path(given.data), out, people).folder
    drawn = load_drawn_faces(people, 0, out.parent / "drawn")
    write_face_folder(drawn, people, out, lambda *_: None)
    return out


def write_job(
    home: Path,
    given: argparse.Namespace,
    data: Path,
    blocks: int,
    epochs: int,
    trials: Sequence[dict[str, Any]] = TRIALS,
) -> Job:
    """Write the job's files; faces and activations are in its cache from then on."""
    home.mkdir(parents=True)
    job = Job(home, blocks, tuple(trials), epochs, data, given.weights, home.parent / "cache")
    settings = {**SETTINGS, "frozen_blocks": blocks}
    parameters = {key: Choice(tuple(dict.fromkeys(trial[key] for trial in trials))) for key in trials[0]}
    space = Space("engine", "trials to time", parameters, fixed=settings, cells=job.trials)
    job.space.write_text(json.dumps(space.to_json()), encoding="utf-8")
    material = load_material(
        argparse.Namespace(data=str(data), faces=0, weights=given.weights),
        [blocks],
        Precision.FP32,
        device_at_hand(),
        job.cache,
    )
    torch.save(material.weights.features, home / "features.pt")
    content = contents(job, material, trial_seed(space, epochs), given.loader_processes)
    job.file.write_text(json.dumps(content), encoding="utf-8")
    return job


def contents(job: Job, material: Material, seed: int, loader_processes: int) -> dict[str, Any]:
    """``job.json``: everything that a loop or a peer needs to know."""
    faces = material.faces
    return {
        "data": str(job.data),
        "weights": job.weights,
        "cache": str(job.cache),
        "settings": config_from_flat({**SETTINGS, "frozen_blocks": job.blocks}).flat(),
        "seed": seed,
        "faces": [
            {
                "path": str(job.data / IMAGE_FOLDER / str(faces.file[row])),
                "gender": int(faces.gender[row]),
                "landmarks": (faces.landmarks[row] / CROP).tolist(),
            }
            for row in range(len(faces))
        ],
        "train": material.split.train.tolist(),
        "validation": material.split.validation.tolist(),
        "features": str(job.home / "features.pt"),
        "blocks": job.blocks,
        "width": SETTINGS["head_width"],
        **{key: SETTINGS[key] for key in ("lambda1", "lambda2", "batch_size")},
        "epochs": job.epochs,
        "loader_processes": loader_processes,
        "start_seed": derived_seed(seed, 0),
        "epoch_seeds": [derived_seed(seed, 1, epoch) for epoch in range(job.epochs)],
        "trials": job.trials,
    }


def trial_seed(space: Space, epochs: int) -> int:
    """The seed that Tandem gives every cell of the grid."""
    settled = settled_space(space, Profile.FAST, {})
    plan = Plan(settled.to_json(), Profile.FAST, **grid_options(settled, {"epochs": epochs}))
    return plan.trial_seed(0)
