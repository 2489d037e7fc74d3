from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from finished_run import tiny, write_backbone, write_seed, write_winners

import core.activations
import core.bench
from core.activations import FrozenActivations
from core.bench import Bench
from core.errors import UserError
from core.faces import Faces, load_drawn_faces
from core.metrics import Predictions
from core.names import Precision
from core.run_folder import RunFolder
from core.splits import Split, split_faces
from core.weights import Weights
from core.winner import Winner, read_backbone, read_winners

KINDS = ("gender", "landmarks", "multitask")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    return load_drawn_faces(40, 0, tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def split(faces: Faces) -> Split:
    return split_faces(faces.gender, faces.identity, 0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, weights: Weights) -> RunFolder:
    made = RunFolder(tmp_path_factory.mktemp("run"))
    write_backbone(made, weights)
    for kind in KINDS:
        for number in (0, 2):
            write_seed(made, kind, number, architecture=kind, activation_cache=kind != "landmarks")
    write_winners(made, [(kind, 1, 1, 2) for kind in KINDS])
    return made


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many faces went through the frozen blocks, each time that some did."""
    found, extract = [], core.activations._extract

    def watched(wanted: FrozenActivations, *rest: object) -> None:
        found.append(len(wanted.rows))
        extract(wanted, *rest)

    monkeypatch.setattr(core.activations, "_extract", watched)
    return found


@pytest.fixture(autouse=True)
def timed(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What was timed, without taking the time for it."""
    found = []
    monkeypatch.setattr(core.bench, "inference_ms", lambda *arguments: found.append(arguments) or 1.5)
    return found


def bench(run: RunFolder, faces: Faces, split: Split, cache: Path, said: list[str] | None = None) -> Bench:
    def report(title: str) -> Callable[[int, int], None]:
        if said is not None:
            said.append(title)
        return lambda *_: None

    return Bench(faces, split, read_backbone(run), torch.device("cpu"), cache, report)


def winners(run: RunFolder) -> dict[str, Winner]:
    return {winner.label: winner for winner in read_winners(run)}


def close(a: Predictions, b: Predictions) -> bool:
    """Of both tasks: landmarks to a hundredth of a pixel, logits to a ten-thousandth."""
    same_gender = np.allclose(a.gender_logits, b.gender_logits, rtol=1e-3, atol=1e-4)
    return same_gender and np.allclose(a.landmarks, b.landmarks, atol=1e-2)


@pytest.mark.slow
def test_frozen_blocks_are_passed_once_for_all_winners_and_seeds(run, faces, split, tmp_path, passes, timed) -> None:
    held = bench(run, faces, split, tmp_path)
    for label in ("gender", "multitask"):
        runs, milliseconds = held.run(winners(run)[label])
        assert len(runs) == 2
        assert milliseconds == 1.5
    assert passes == [len(split.test)]
    bench(run, faces, split, tmp_path).run(winners(run)["gender"])  # another day: they are in the cache
    assert passes == [len(split.test)]


def test_what_is_timed_is_the_network_from_a_whole_face(run, faces, split, tmp_path, timed) -> None:
    bench(run, faces, split, tmp_path).run(winners(run)["gender"])
    ((model, image, precision, device),) = timed
    assert (image.dtype, image.shape) == (np.uint8, (3, 224, 224))
    assert np.array_equal(image, faces.images[split.test[0]])
    assert len(model.features) == 31
    assert (precision, device.type) == (Precision.FP32, "cpu")


@pytest.mark.slow
def test_predictions_are_those_of_each_face_by_its_own_model(run, faces, split, tmp_path) -> None:
    winner, held = winners(run)["multitask"], bench(run, faces, split, tmp_path)
    runs, _ = held.run(winner)
    for predictions, folder in zip(runs, winner.folders, strict=True):
        model = core.bench.load_model(read_backbone(run), winner, folder, torch.device("cpu"))
        with torch.no_grad():
            images = torch.from_numpy(faces.images[split.test[2:3]].copy())
            alone = {str(task): y.numpy() for task, y in model(model.frozen_features(images)).items()}
        np.testing.assert_allclose(predictions.gender_logits[2:3], alone["gender"], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(predictions.landmarks[2:3], alone["landmarks"] * 224, rtol=1e-3, atol=1e-2)


@pytest.mark.slow
def test_without_an_activation_cache_whole_faces_are_read(run, faces, split, tmp_path, passes) -> None:
    runs, _ = bench(run, faces, split, tmp_path).run(winners(run)["landmarks"])
    assert passes == []
    assert list(tmp_path.iterdir()) == []
    assert runs[0].landmarks.shape == (len(split.test), 5, 2)


@pytest.mark.slow
def test_a_full_disk_is_noted_and_changes_no_prediction(run, faces, split, tmp_path, monkeypatch) -> None:
    winner, said = winners(run)["multitask"], []
    expected, _ = bench(run, faces, split, tmp_path / "a").run(winner)

    def full(*_: object) -> Path:
        raise UserError("cache: activations need 5.0 GB, 1.0 GB are free")

    monkeypatch.setattr(core.bench, "FrozenActivations", full)
    runs, _ = bench(run, faces, split, tmp_path / "b", said).run(winner)
    assert all(close(a, b) for a, b in zip(runs, expected, strict=True))
    assert any("1.0 GB are free; reading whole faces instead" in title for title in said)


def test_every_winner_and_seed_is_announced(run, faces, split, tmp_path) -> None:
    said: list[str] = []
    bench(run, faces, split, tmp_path, said).run(winners(run)["gender"])
    assert said == [
        "activations of 5 frozen blocks, fp32",
        "gender, seed 0: predicting 4 faces",
        "gender, seed 2: predicting 4 faces",
        "gender: timing one face",
    ]


def test_a_winner_without_frozen_blocks_reads_whole_faces(run, faces, split, tmp_path) -> None:
    examples = bench(run, faces, split, tmp_path)._examples(tiny(frozen_blocks=0))
    assert examples.inputs is faces.images
    assert np.array_equal(examples.rows, split.test)
