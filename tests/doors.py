"""Scripts as a person runs them, without the seconds of a new process."""

import io
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from tune.cluster import Machine

SCRIPTS = Path(__file__).parents[1] / "scripts"


class Done(NamedTuple):
    returncode: object
    stdout: str
    stderr: str


def in_process(name: str, *words: object) -> Done:
    """Run one of the scripts in this process."""
    out, err, code = io.StringIO(), io.StringIO(), None
    path = str(SCRIPTS / name)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", [path, *map(str, words)])
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            code = end.code
    return Done(code or 0, out.getvalue(), err.getvalue())


def without_ray(name: str, *words: object) -> Done:
    """The same on a machine of two cores where Ray has started, though none is: for what is refused after that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tune.cluster.start_ray", lambda *_: Machine(cores=2, gpus=0, node_cores=2))
        patch.setattr("tune.nodes.check_nodes", lambda *_: None)
        return in_process(name, *words)
