"""Winners as ONNX files, against another runtime."""

import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from finished_run import tiny, tiny_model
from photo_desk import CPU, LABELS, predict
from safetensors.torch import load_file, save_file

import core.onnx_file
from core.onnx_file import Portable, export_onnx
from core.run_folder import RunFolder
from core.winner import load_model, read_backbone, read_winner


@pytest.mark.parametrize("label", LABELS)
def test_an_exported_model_says_the_same_in_another_runtime(sure_run: RunFolder, tmp_path: Path, label: str) -> None:
    """Of faces that the export did not try, in batches of any size; the winners' own heads say the same of each."""
    random = np.random.default_rng(0)
    for path in sure_run.path.glob(f"winners/{label}/seed-2/weights.safetensors"):
        tensors = {
            name: t + 0.01 * torch.from_numpy(random.normal(size=t.shape)).float()
            for name, t in load_file(path).items()
        }
        shutil.copytree(sure_run.path, tmp_path / "run")
        save_file(tensors, tmp_path / "run" / path.relative_to(sure_run.path))
    winner = tmp_path / "run/winners" / label / "seed-2"
    done = predict(winner, "--export", tmp_path / "model.onnx")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "run"]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    notes = session.get_modelmeta().custom_metadata_map
    assert (notes["winner"], notes["seed"], notes["run"]) == (label, "2", "run")
    put_in_and_out = {"photo", "faces", *(output.name for output in session.get_outputs())}
    assert set(notes) == put_in_and_out | {"winner", "seed", "run", "trained_on"} | (
        {"back_to_photo"} if "landmarks" in put_in_and_out else set()
    )
    assert "drawn faces" in notes["trained_on"]
    found = read_winner(RunFolder(tmp_path / "run"), label)
    model = load_model(read_backbone(RunFolder(tmp_path / "run")), found, winner, CPU)
    for count in (1, 3):
        faces = random.integers(0, 256, (count, 3, 224, 224), dtype=np.uint8)
        with torch.no_grad():
            said = model(model.frozen_features(torch.from_numpy(faces)))
        answers = dict(
            zip([each.name for each in session.get_outputs()], session.run(None, {"faces": faces}), strict=True)
        )
        expected = {}
        if "gender" in said:
            odds = np.exp(said["gender"].double().numpy())
            expected["probability_man"] = odds[:, 1] / odds.sum(axis=1)
        if "landmarks" in said:
            expected["landmarks"] = 224 * said["landmarks"].double().numpy()
        assert set(answers) == set(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(answers[name], values, atol=1e-4 * (224 if name == "landmarks" else 1))


@pytest.mark.parametrize("off", [2e-4 * 224, math.nan])
def test_a_model_that_another_runtime_reads_differently_is_not_written(
    sure_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    """Only the second of its two outputs differs."""
    real = onnxruntime.InferenceSession.run
    monkeypatch.setattr(
        onnxruntime.InferenceSession,
        "run",
        lambda *words: [value + off * row for row, value in enumerate(real(*words))],
    )
    done = predict(sure_run.path / "winners/multitask", "--export", tmp_path / "model.onnx")
    assert done.returncode == 2
    assert "not written, its outputs differ from torch's" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_model_too_large_for_one_file_is_refused_before_the_work(
    sure_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.onnx_file, "MOST_BYTES", 10**7)
    done = predict(sure_run.path / "winners/gender", "--export", tmp_path / "model.onnx")
    assert (done.returncode, "this model has 0.1 GB of weights" in done.stderr) == (2, True)


def test_an_export_without_its_packages_says_what_to_install(
    sure_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = predict(sure_run.path / "winners/gender", "--export", tmp_path / "model.onnx")
    assert (done.returncode, done.stderr) == (
        2,
        "error: --export: needs onnxruntime: pip install -c constraints.txt -e '.[onnx]'\n",
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"landmark_head": "heatmap", "heatmap_block": 4, "frozen_blocks": 3},
        {"architecture": "attention", "attention_heads": 4, "d_k": 16, "d_v": 8, "landmark_head": "heatmap"},
        {"architecture": "attention", "attention": "self_rms", "d_k": 16},
        {"architecture": "attention", "attention": "se"},
        {"architecture": "attention", "attention": "cbam"},
    ],
)
def test_every_kind_of_head_and_attention_can_be_exported(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Written only where another runtime agrees, here on five faces after two that it was traced with."""
    model = tiny_model(tiny(**settings), 0)
    torch.manual_seed(0)
    for parameter in model.features.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
        else:
            torch.nn.init.zeros_(parameter)
    random = np.random.default_rng(0)
    faces = random.integers(0, 256, (5, 3, 224, 224), dtype=np.uint8)
    apart = export_onnx(model, tmp_path / "model.onnx", {}, faces[:2])
    assert max(apart.values()) < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    with torch.no_grad():
        expected = Portable(model)(torch.from_numpy(faces))
    for found, right in zip(session.run(None, {"faces": faces}), expected, strict=True):
        np.testing.assert_allclose(found, right.numpy(), atol=1e-4 * 224)
