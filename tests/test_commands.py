"""Commands that Tandem names can be typed where they are read; those that it cannot read end in one line."""

import os
import sys
from pathlib import Path

import pytest
from doors import in_process

from core.commands import SCRIPTS, program, script

ROOT = Path(__file__).parents[1]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment that nobody has activated, with Tensorboard in it, below the folder of a terminal."""
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "tensorboard"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return folder


def test_in_an_activated_environment_names_are_enough(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{environment}{os.pathsep}/usr/bin")
    assert program("python") == "python"
    assert program("tensorboard") == "tensorboard"


def test_elsewhere_they_are_paths_from_the_folder_one_is_in(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program("python") == ".venv/bin/python"
    assert program("tensorboard") == ".venv/bin/tensorboard"
    assert program("optuna-dashboard") == "optuna-dashboard"  # not in this environment, so perhaps elsewhere
    (environment.parents[1] / "elsewhere").mkdir()
    monkeypatch.chdir(environment.parents[1] / "elsewhere")
    assert program("python") == str(environment / "python")


def test_another_python_of_that_name_does_not_count(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = environment.parents[1] / "other"
    other.mkdir()
    (other / "python").symlink_to(environment / "python")  # as each environment's is a link to one and the same
    monkeypatch.setenv("PATH", str(other))
    assert program("python") == ".venv/bin/python"


def test_a_script_is_the_one_beside_that_which_was_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["scripts/search.py"])
    assert script("final_test.py") == f"{program('python')} scripts/final_test.py"
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "search.py")])  # a copy, as a cluster's launcher makes
    assert script("final_test.py") == f"{program('python')} {ROOT / 'scripts' / 'final_test.py'}"


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_option_that_is_none_ends_in_one_line(name: str) -> None:
    done = in_process(name, "--sed", "x", *(["a", "b"] if name in ("final_test.py", "predict.py") else []))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("(--help lists the options)\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trials", "ten"], "argument --trials: invalid int value: 'ten'"),
        (["--sampler", "best"], "argument --sampler: invalid choice: 'best'"),
    ],
)
def test_a_value_of_another_type_ends_in_one_line(words: list[str], said: str) -> None:
    done = in_process("search.py", "--space", "joint", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1
