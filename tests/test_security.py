"""What a file that somebody else made must not be able to do: run code when it is read, or hang the reader."""

import ast
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from test_structure import FILES, ROOT
from tiny_celeba import rows, write_celeba

from core.errors import UserError
from core.faces import load_celeba_faces
from core.kept_predictions import read_predictions
from core.tensor_files import load_tensors
from core.weights import weights_from_file
from search_spaces.catalogue import SPACES
from tune.study import Sampler, Study


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_nothing_that_is_read_back_runs_code(tmp_path: Path) -> None:
    marker, evil = tmp_path / "marker", Evil(tmp_path / "marker")
    pickle.loads(pickle.dumps(evil))
    assert marker.exists()  # the trap works
    marker.unlink()
    np.savez(tmp_path / "predictions.npz", gender_logits=np.array([evil, evil], dtype=object))
    torch.save({"features.0.bias": evil}, tmp_path / "new.pth")
    torch.save({"features.0.bias": evil}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(evil))
    (tmp_path / "optuna.journal").write_bytes(pickle.dumps(evil) + b"\n")
    for read in (
        lambda: read_predictions(tmp_path, 2),
        *(lambda name=name: weights_from_file(tmp_path / f"{name}.pth") for name in ("new", "old", "plain")),
        lambda: Study(tmp_path / "optuna.journal", SPACES["gender"], Sampler.RANDOM, 0),
    ):
        with pytest.raises(UserError):
            read()
        assert not marker.exists()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("old", [False, True])
def test_a_long_name_in_a_weights_file_does_not_hang_the_reader(tmp_path: Path, old: bool) -> None:
    path = tmp_path / "w.pth"
    torch.save({"features.0.bias": torch.zeros(2), "a" * 300_000: 3}, path, _use_new_zipfile_serialization=not old)
    with pytest.raises(ValueError, match="a text of 300000 characters"):
        load_tensors(path)
    with pytest.raises(UserError, match=r"w\.pth: not a readable weights file"):
        weights_from_file(path)


def test_plain_tensors_come_back_from_both_formats(tmp_path: Path) -> None:
    saved = {f"features.{i}.weight": torch.full((3,), float(i)) for i in range(40)}
    for old in (False, True):
        torch.save(saved, tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
        found = load_tensors(tmp_path / "w.pth")
        assert found.keys() == saved.keys()
        assert all(torch.equal(found[name], saved[name]) for name in saved)


FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "input"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads", "dill.load"),
    *("joblib.load", "shelve.open", "marshal.load", "marshal.loads", "pandas.read_pickle"),
    *(
        "yaml.load",
        "yaml.unsafe_load",
        "yaml.full_load",
        "Markup",
        "markupsafe.Markup",
        "torch.jit.load",
        "torch.hub.load",
    ),
}
MUST_BE = {
    "torch.load": ("weights_only", True),
    "get_state_dict": ("weights_only", True),
    "Environment": ("autoescape", True),
}
MAY_NOT_BE = {
    "numpy.load": ("allow_pickle", False),
    **{f"subprocess.{name}": ("shell", False) for name in ("run", "Popen", "call", "check_call", "check_output")},
}
USUAL = {"np": "numpy", "pd": "pandas"}
PICKLES = ("pickle", "marshal", "joblib", "dill", "cloudpickle", "shelve")
JUSTIFIED = {
    # Made by the benchmark's own parent process and passed to it in memory, as Ray passes labels to its workers.
    ("benchmarks/scale_training.py", "pickle.loads"),
}


def names_of(tree: ast.AST) -> dict[str, str]:
    """Whole names of what a module imports, by the names that it gives them."""
    found = dict(USUAL)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def whole_name(called: ast.expr, names: dict[str, str]) -> str:
    """What a call calls, whatever its module is called here."""
    first, dot, rest = ast.unparse(called).partition(".")
    return f"{names.get(first, first)}{dot}{rest}".removeprefix("builtins.")


def is_dangerous(call: ast.Call, name: str) -> bool:
    given = {word.arg: getattr(word.value, "value", ...) for word in call.keywords}
    key, value = MUST_BE.get(name) or MUST_BE.get(name.rpartition(".")[2]) or ("", None)
    only, allowed = MAY_NOT_BE.get(name, ("", None))
    unsafe = (key and given.get(key) is not value) or (only and given.get(only, allowed) is not allowed)
    return name in FORBIDDEN or bool(unsafe)


def dangerous(source: str) -> list[str]:
    """Calls in a module that could run code from what they read, by their whole names."""
    found, tree = [], ast.parse(source)
    names = names_of(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in PICKLES:
            found += [f"{node.module}.{alias.name}" for alias in node.names if not alias.name.endswith("Error")]
        if isinstance(node, ast.Call) and is_dangerous(node, name := whole_name(node.func, names)):
            found.append(name)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_calls_what_could_run_code_from_a_file(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    unjustified = [name for name in dangerous(path.read_text(encoding="utf-8")) if (place, name) not in JUSTIFIED]
    assert unjustified == []


@pytest.mark.parametrize(
    "source",
    [
        "eval(x)",
        "exec(x)",
        "pickle.loads(x)",
        "from pickle import loads",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "torch.load(x, weights_only=y)",
        "np.load(x, allow_pickle=True)",
        "np.load(x, allow_pickle=y)",
        "pd.read_pickle(x)",
        "yaml.load(x)",
        "joblib.load(x)",
        "subprocess.run(x, shell=True)",
        "jinja2.Environment(loader=x)",
        "jinja2.Environment(autoescape=False)",
        "from numpy import load\nload(x, allow_pickle=True)",
        "import numpy as n\nn.load(x, allow_pickle=True)",
        "import numpy\nnumpy.load(x, allow_pickle=True)",
        "from torch import load as l\nl(x)",
        "import torch as t\nt.load(x, weights_only=False)",
        "import torch.hub as h\nh.load(x)",
        "from torch import jit\njit.load(x)",
        "from os import system\nsystem(x)",
        "import os as o\no.popen(x)",
        "import builtins as b\nb.eval(x)",
        "import pickle as p\np.loads(x)",
        "from pandas import read_pickle as r\nr(x)",
        "from subprocess import check_output as run\nrun(x, shell=True)",
        "from markupsafe import Markup as M\nM(x)",
        "from jinja2 import Environment as E\nE(loader=x)",
        "def f():\n    from yaml import load as l\n    return l(x)",
    ],
)
def test_the_search_for_dangerous_calls_finds_them(source: str) -> None:
    assert dangerous(source)


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "np.load(x)",
        "from numpy import load\nload(x)",
        "torch.load(x, weights_only=True)",
        "from torch import load as l\nl(x, weights_only=True)",
        "subprocess.run([x])",
        "from re import compile\ncompile(x)",
        "from json import load, loads\nload(x)",
    ],
)
def test_the_search_for_dangerous_calls_leaves_harmless_ones_alone(source: str) -> None:
    assert not dangerous(source)


def test_a_pickle_hidden_in_an_array_of_the_cache_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, np.array([Evil(tmp_path / "marker")], dtype=object))
    faces = load_celeba_faces(write_celeba(tmp_path / "celeba", rows()), tmp_path / "cache")
    (faces.images_path.parent / "file.npy").write_bytes(file.getvalue())
    with pytest.raises(UserError, match="must be a whole cache of faces; delete it"):
        load_celeba_faces(tmp_path / "celeba", tmp_path / "cache")
    assert not (tmp_path / "marker").exists()
