"""Scripts as a person runs them, without the seconds of a new process."""

import io
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from tune.machine import Machine, Node

SCRIPTS = Path(__file__).parents[1] / "scripts"


class Done(NamedTuple):
    returncode: object
    stdout: str
    stderr: str


def exit_code(name: str, *words: object) -> object:
    """Run one of the scripts in this process; what it prints goes where this process's prints go."""
    path = str(SCRIPTS / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [path, *map(str, words)])
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            return end.code or 0
    return 0


def in_process(name: str, *words: object) -> Done:
    """The same, and what it prints."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = exit_code(name, *words)
    return Done(code, out.getvalue(), err.getvalue())


def without_ray(name: str, *words: object) -> Done:
    """The same on a machine of two cores where Ray has started, though none is: for what is refused after that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tune.cluster.start_ray", lambda *_: Machine((Node(2, 0),)))
        patch.setattr("tune.nodes.check_nodes", lambda *_: None)
        return in_process(name, *words)
