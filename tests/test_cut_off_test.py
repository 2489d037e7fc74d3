"""A final test that ends in between goes on where it was, and remains one opening of the split."""

from pathlib import Path

import numpy as np
import pytest
import torch
from finished_run import made_predictions, made_winner

from core import bench, final_test
from core.activations import _extract
from core.bench import Bench
from core.device import GpuError, gpu_errors
from core.errors import UserError
from core.faces import load_drawn_faces
from core.splits import split_faces

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return load_drawn_faces(40, 0, tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def split(faces):
    return split_faces(faces.gender, faces.identity, 0)


@pytest.fixture
def predicted(faces, split, monkeypatch):
    """Labels of the winners that were predicted, by a bench that needs no weights."""
    found = []

    def run(_, winner):
        if winner.label == "broken":
            raise RuntimeError("CUDA error: unspecified launch failure")
        found.append(winner.label)
        runs = [made_predictions(faces.landmarks[split.test], faces.gender[split.test], shift) for shift in (1.0, 2.0)]
        return runs, 2.5

    monkeypatch.setattr(Bench, "run", run)
    return found


def silent(_):
    return lambda *_: None


def over(winners, faces, split, device=CPU, had=(), keep=None):
    return final_test.run_test(winners, None, faces, split, device, Path("cache"), silent, had, keep)


def test_each_winner_is_kept_as_soon_as_it_is_predicted_and_not_predicted_again(faces, split, predicted):
    winners, kept = [made_winner(label) for label in ("a", "b", "c")], []
    whole = over(winners, faces, split, keep=lambda measured: kept.append(list(measured)))
    assert [[one.winner.label for one in measured] for measured in kept] == [["a"], ["a", "b"], ["a", "b", "c"]]
    predicted.clear()
    again = over(winners, faces, split, had=kept[1])
    assert predicted == ["c"]
    assert [one.winner.label for one in again.tested] == ["a", "b", "c"]
    assert all(one.scores == other.scores for one, other in zip(again.tested, whole.tested, strict=True))


def test_a_gpu_that_fails_in_between_is_one_line_and_what_was_predicted_is_kept(faces, split, predicted, monkeypatch):
    monkeypatch.setattr(final_test, "device_name", lambda _: "a GPU")
    kept = []
    with pytest.raises(UserError, match=r"the GPU failed while test faces were predicted \(CUDA error: unspecified"):
        over([made_winner("a"), made_winner("broken")], faces, split, GPU, keep=kept.extend)
    assert [(one.winner.label, one.device) for one in kept] == [("a", "a GPU")]
    monkeypatch.setattr(final_test, "device_name", lambda _: "a CPU")
    result = over([made_winner("a"), made_winner("b")], faces, split, had=kept)
    assert result.device == "a GPU and a CPU"


def test_other_errors_of_torch_on_a_cpu_are_not_hidden():
    with pytest.raises(RuntimeError, match="shape"), gpu_errors(CPU, "this", "that"):
        raise RuntimeError("shape")


def test_a_gpu_that_fails_while_activations_are_computed_is_not_used_for_whole_faces(
    monkeypatch, tmp_path, faces, split
):
    class Wanted:
        device = GPU

        def __init__(self, *_):
            pass

        def computed(self, _):
            _extract(self, tmp_path / "x", None)

    def fails(*_):
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr("core.activations._extract_on", fails)
    monkeypatch.setattr(bench, "FrozenActivations", Wanted)
    said = []
    desk = Bench(faces, split, None, GPU, tmp_path, lambda title: said.append(title) or (lambda *_: None))
    with pytest.raises(GpuError, match=r"while activations were computed \(CUDA error: device-side"):
        desk._examples(made_winner("a").config)
    assert not any("whole faces" in title for title in said)
    assert np.array_equal(desk.rows, split.test)
