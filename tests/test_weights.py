import errno
import os
import pickle
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from core.errors import UserError
from core.faces import load_drawn_faces
from core.preparation import DRAWN, load_weights
from core.random_filters import calibrated_random_weights, kept_random_weights
from core.tensor_files import save_tensors
from core.vgg import normalised, vgg16_features
from core.weights import WeightsUnavailableError, digest_of, imagenet_weights, weights_from_file


def test_a_file_in_half_precision_is_read_as_float32(weights, tmp_path):
    path = tmp_path / "vgg.safetensors"
    save_file({name: t.half() for name, t in weights.tensors.items()}, path)
    found = weights_from_file(path)
    assert found.tensors["features.0.weight"].dtype == torch.float32
    assert torch.equal(found.tensors["features.0.weight"], weights.tensors["features.0.weight"].half().float())


def test_safetensors_and_pth_of_the_same_tensors_have_the_same_digest(weights, tmp_path):
    save_file(dict(weights.tensors), tmp_path / "a.safetensors")
    torch.save(dict(weights.tensors), tmp_path / "a.pth")
    assert weights_from_file(tmp_path / "a.safetensors").digest == weights_from_file(tmp_path / "a.pth").digest


def test_tensors_that_were_saved_as_parameters_are_as_good(weights, tmp_path):
    torch.save({name: torch.nn.Parameter(tensor) for name, tensor in weights.tensors.items()}, tmp_path / "a.pth")
    torch.save(dict(weights.tensors), tmp_path / "b.pth")
    found = weights_from_file(tmp_path / "a.pth")
    assert found.digest == weights_from_file(tmp_path / "b.pth").digest
    assert not any(tensor.requires_grad for tensor in found.tensors.values())


def test_a_missing_layer_is_named(weights, tmp_path):
    save_file({n: t for n, t in weights.tensors.items() if n != "features.17.weight"}, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=r"no tensor 'features\.17\.weight'"):
        weights_from_file(tmp_path / "a.safetensors")


def test_a_layer_of_another_shape_is_named(weights, tmp_path):
    save_file({**weights.tensors, "features.0.bias": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=r"features.0.bias has shape \(3,\), VGG-16 needs \(64,\)"):
        weights_from_file(tmp_path / "a.safetensors")


def test_values_that_are_not_finite_are_refused(weights, tmp_path):
    save_file({**weights.tensors, "features.0.bias": torch.full((64,), torch.inf)}, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match="not finite"):
        weights_from_file(tmp_path / "a.safetensors")


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("trap-was-run"),)


def test_code_inside_a_weights_file_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"features.0.weight": Trap()}))
    torch.save({"features.0.weight": Trap()}, tmp_path / "b.pth")
    for name in ("a.pth", "b.pth"):
        with pytest.raises(UserError):
            weights_from_file(tmp_path / name)
    assert not (tmp_path / "trap-was-run").exists()


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"not weights"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_no_weights_is_one_clear_line(tmp_path, content, suffix):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        weights_from_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreachable_imagenet_weights_say_how_to_get_them(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(WeightsUnavailableError, match="--weights PATH"):
        imagenet_weights()


def test_a_download_that_fails_says_why_in_plain_words(monkeypatch):
    def refuse(*_, **__):
        raise URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(
        WeightsUnavailableError, match=r"^no ImageNet weights for VGG-16 \(Name or service not known\); "
    ):
        imagenet_weights()


def test_of_two_searches_that_begin_at_once_one_makes_random_filters_and_both_have_them(tmp_path, monkeypatch, weights):
    faces = load_drawn_faces(20, 0, tmp_path, lambda *_: None)
    made, whole = [], replace(weights, digest=digest_of(weights.tensors))

    def make(*_):
        made.append(0)
        time.sleep(0.3)  # the other one comes meanwhile
        return whole

    monkeypatch.setattr("core.random_filters.calibrated_random_weights", make)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda rows: kept_random_weights(faces, rows, tmp_path), [np.array([0, 1])] * 2))
    assert len(made) == 1
    assert {one.digest for one in found} == {whole.digest}


@pytest.mark.slow
def test_calibrated_channels_have_mean_0_and_variance_1_on_the_images():
    images = torch.randint(0, 256, (6, 3, 224, 224), dtype=torch.uint8)
    weights = calibrated_random_weights(images, seed=3)
    features = vgg16_features("cpu")
    features.load_state_dict(weights.features)
    with torch.no_grad():
        for depth in (1, 13, 29):  # just after a convolution
            x = features[:depth](normalised(images))
            torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(x.shape[1]), atol=1e-3, rtol=0)
            torch.testing.assert_close(x.std((0, 2, 3)), torch.ones(x.shape[1]), atol=1e-2, rtol=0)
    assert calibrated_random_weights(images, seed=3).digest == weights.digest


@pytest.mark.slow
def test_random_filters_are_calibrated_once_a_cache_and_again_where_the_file_was_damaged(tmp_path):
    faces = load_drawn_faces(20, 0, tmp_path, lambda *_: None)
    layers = []

    def kept(rows):
        return kept_random_weights(faces, np.array(rows), tmp_path, lambda done, _: layers.append(done))

    first = kept([0, 1])
    (path,) = tmp_path.glob("random-filters-*.safetensors")
    assert len(layers) == 31
    again = kept([0, 1])
    assert len(layers) == 31
    assert (again.digest, again.source) == (first.digest, first.source)
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in first.tensors.items())
    assert kept([0, 2]).digest != first.digest  # of other faces
    content = bytearray(path.read_bytes())
    content[-4:] = bytes(a ^ 1 for a in content[-4:])
    path.write_bytes(content)
    layers.clear()
    assert kept([0, 1]).digest == first.digest
    assert len(layers) == 31


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_without_room_for_imagenets_weights_is_an_error_and_no_reason_to_do_without(monkeypatch, number):
    def full(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", full)
    with pytest.raises(UserError, match="no room for ImageNet's weights") as caught:
        imagenet_weights()
    assert not isinstance(caught.value, WeightsUnavailableError)


def test_where_imagenets_weights_cannot_be_had_drawn_faces_go_without_and_the_reason_is_told(monkeypatch, tmp_path):
    def away():
        raise WeightsUnavailableError("no ImageNet weights for VGG-16 (no network); get them by hand")

    given, said = SimpleNamespace(source=DRAWN), []
    monkeypatch.setattr("core.preparation.imagenet_weights", away)
    monkeypatch.setattr("core.preparation.kept_random_weights", lambda *_: "random")
    parts = (SimpleNamespace(train=None), tmp_path, said.append, lambda _: None)
    assert load_weights("auto", given, *parts) == "random"
    assert said[1].startswith("weights: no ImageNet weights for VGG-16 (no network); random filters")
    for wanted, source in (("auto", "celeba"), ("imagenet", DRAWN)):
        with pytest.raises(WeightsUnavailableError):
            load_weights(wanted, SimpleNamespace(source=source), *parts)


def test_a_file_of_tensors_that_could_not_be_finished_is_removed(monkeypatch, tmp_path):
    def full(_, path, __):
        path.write_bytes(b"half")
        raise SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr("core.tensor_files.save_file", full)
    with pytest.raises(OSError, match="No space left on device"):
        save_tensors(tmp_path / "w", {"a": torch.zeros(3)})
    assert list(tmp_path.iterdir()) == []
