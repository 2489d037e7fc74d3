"""The readers of what a run's folder keeps of its split, winners, tests and retrainings, of weights and the cache."""

import io
import json

import pandas as pd
import torch
from safetensors.torch import save
from torch import Tensor

from benchmarks.fuzz_reader import Reader
from benchmarks.fuzz_run import FACES, Material
from benchmarks.mutations import changed_archive, changed_json
from core.faces import load_drawn_faces
from core.front import paper_standing, read_front
from core.importance_table import COLUMNS, INDEPENDENTLY, Verdict, read_importance, sentences
from core.kept_predictions import read_predictions
from core.kept_test import kept_test
from core.objective import Objective
from core.openings import opened_dates
from core.retraining import Retraining, finished_record
from core.splits import read_split
from core.weights import weights_from_file
from core.winner import read_learned, read_winners


def run_readers(material: Material) -> list[Reader]:
    """All of them."""
    return [
        _split_reader(material),
        _winners_reader(material),
        _importance_reader(material),
        _front_reader(material),
        *_test_readers(material),
        *_weights_readers(material),
        _cache_reader(material),
    ]


def _split_reader(material: Material) -> Reader:
    path = material.run.split
    return Reader("split.csv", {path: path.read_bytes()}, lambda: read_split(path, material.faces))


def _winners_reader(material: Material) -> Reader:
    run = material.run
    seed = run.winner("multitask", 0)
    files = {path: path.read_bytes() for path in (run.winners, seed / "config.json", seed / "curve.csv")}
    return Reader("winners", files, lambda: read_winners(run))


def _importance_reader(material: Material) -> Reader:
    path = material.run.importance
    common = ("multitask", 24, 1, 2, INDEPENDENTLY, "relative_error")
    rows = [
        (*common, "lr", 0.62, 0.41, 0.78, 0.7, 0.5, 0.9, 0.01, str(Verdict.MATTERS)),
        (*common, "wing_w", *[None] * 7, str(Verdict.FEW)),
    ]
    content = pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False)
    return Reader("importance.csv", {path: content.encode()}, lambda: sentences(read_importance(path)))


def _front_reader(material: Material) -> Reader:
    run = material.run
    trials = b"trial,front_rank,val_gender_ce,val_nme_pct,config.architecture\n0,1,0.3,9.5,multitask\n1,,,,gender\n"
    search = {"plan": {"space": {"fixed": {}}}, "baseline_validation": {"gender_ce": 0.7, "nme_pct": 45.0}}
    files = {run.trials: trials, run.winners: run.winners.read_bytes()}
    return Reader("front", files, lambda: paper_standing(read_front(run, search)))


def _test_readers(material: Material) -> list[Reader]:
    run, winner = material.run, read_winners(material.run)[0]
    seed = run.winner("multitask", 0)
    kept = run.test / "multitask" / "seed-0"
    record = json.loads((seed / "config.json").read_text(encoding="utf-8"))
    own = {key: value for key, value in record.items() if key not in ("best", "diverged")}
    files = {
        name: path.read_bytes()
        for name, path in (
            ("npz", kept / "predictions.npz"),
            ("list", run.test / "measured.json"),
            ("config", seed / "config.json"),
        )
    }
    return [
        Reader(
            "predictions.npz",
            {kept / "predictions.npz": files["npz"]},
            lambda: read_predictions(kept, FACES),
            changed_archive,
        ),
        Reader(
            "measured.json",
            {run.test / "measured.json": files["list"]},
            lambda: kept_test(run.test, [winner], FACES),
            changed=changed_json,
        ),
        Reader(
            "opened.json",
            {run.test / "opened.json": b'["2026-01-01T00:00:00+00:00"]\n'},
            lambda: opened_dates(run),
            changed=changed_json,
        ),
        Reader(
            "record of a retraining",
            {seed / "config.json": files["config"]},
            lambda: finished_record(seed, own),
            changed=changed_json,
        ),
    ]


def _weights_readers(material: Material) -> list[Reader]:
    folder = material.folder
    tensors = {f"features.{layer}.bias": torch.zeros(64) for layer in (0, 2)}
    pickled = io.BytesIO()
    torch.save(tensors, pickled)
    plain, learned = folder / "w.pth", folder / "weights.safetensors"
    expected: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in material.small_tensors().items()}
    place = folder / "retraining"
    checkpoint = place / "checkpoint.pt"

    def resume() -> object:
        return Retraining(material.session, Objective("relative_error"), 9, place, {"model": "m"})

    return [
        Reader("weights, .pth", {plain: pickled.getvalue()}, lambda: weights_from_file(plain), changed_archive),
        Reader("weights of a winner", {learned: save(expected)}, lambda: read_learned(learned, expected, expected)),
        Reader("checkpoint", {checkpoint: material.checkpoint(place)}, resume, changed_archive),
    ]


def _cache_reader(material: Material) -> Reader:
    cache = material.folder / "cache"
    folder = material.faces.images_path.parent
    names = ("landmarks.npy", "gender.npy", "identity.npy", "file.npy", "meta.json")
    files = {folder / name: (folder / name).read_bytes() for name in names}
    return Reader("cache of faces", files, lambda: load_drawn_faces(FACES, 0, cache))
