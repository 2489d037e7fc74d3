"""Commands as they are typed: those that were, and those that are named to whoever reads them.

The latter for the folder and the shell where this process was started.
"""

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from core.errors import UserError

SCRIPTS = ("search.py", "paper.py", "final_test.py", "predict.py", "importance.py", "prepare_celeba.py")
"""Those that name commands."""


class Parser(argparse.ArgumentParser):
    """A script's options; its ``doc`` is shown by --help as it is written.

    Args:
        absent: options that are not given are absent from the result, so that it can be told which were.
    """

    def __init__(self, doc: str | None, absent: bool = False) -> None:
        default = argparse.SUPPRESS if absent else None
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(description=doc, formatter_class=layout, argument_default=default)

    def error(self, message: str) -> NoReturn:
        """Raise a UserError: what is wrong is one line, without the page of usage that argparse prints above it."""
        raise UserError(f"{message} (--help lists the options)")


def program(name: str) -> str:
    """A program of this Python's environment, such as ``python`` or ``tensorboard``.

    Its name alone if a shell finds this very one, as it does in an environment that is activated; else its path.
    """
    own = Path(sys.executable)
    if name != "python":
        own = own.with_name(name)
        if not own.is_file():  # installed elsewhere, as by pip's --user
            return name
    found = shutil.which(name)
    if found is not None and Path(os.path.abspath(found)).parent == own.parent:  # noqa: PTH100 - links must stay
        return name
    here = Path.cwd()
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))


def script(name: str) -> str:
    """Python and one of the scripts, beside the one that was started."""
    started = Path(sys.argv[0])
    path = (started.parent if started.name in SCRIPTS else Path("scripts")) / name
    installed = Path(__file__).parents[1] / "scripts" / name
    if not path.exists() and installed.exists():  # the one that was started is a copy, as ``ray submit`` makes it
        path = installed
    return f"{program('python')} {shlex.quote(str(path))}"
