"""Faults in a worker's epochs: Python runs this file by itself where its folder is on PYTHONPATH.

TANDEM_FAULT is ``OPTIMIZER KIND OPTIMIZER KIND ...``: trials with these optimizers meet their fault in their second epoch.
TANDEM_PATIENCE: seconds for which storage is waited for.
"""

import importlib.abc
import importlib.util
import os
import re
import sys


def cuda_error():
    about = "CUDA kernel errors might be asynchronously reported at some other API call. " * 5
    raise RuntimeError(f"CUDA error: no kernel image is available for execution on the device\n{about}")


def loop():
    while True:
        pass


def holds_the_lock():
    re.match("(a+)+$", "a" * 60 + "b")  # for ever, in one call that lets nobody else run


def stopped():
    import signal

    os.kill(os.getpid(), signal.SIGSTOP)  # as good as deep in the kernel: this process can do nothing any more


KINDS = {f.__name__: f for f in (cuda_error, loop, holds_the_lock, stopped)}


class Faulty(importlib.abc.MetaPathFinder):
    """Lets core.session be imported as it is, and puts the fault into its run_epoch."""

    def find_spec(self, name, path, target=None):  # noqa: ARG002 - as Python calls it
        if name != "core.session":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            module.Session.run_epoch = faulty(module.Session.run_epoch)

        spec.loader.exec_module = exec_module
        return spec


def faulty(run_epoch):
    words = os.environ["TANDEM_FAULT"].split()
    kinds = dict(zip(words[::2], words[1::2], strict=True))

    def run(self):
        kind = kinds.get(str(self.config.training.optimizer))
        if kind is not None and self.epoch == 1:
            KINDS[kind]()
        return run_epoch(self)

    return run


if "TANDEM_PATIENCE" in os.environ:
    from core.patience import Patience

    Patience.__init__.__defaults__ = (float(os.environ["TANDEM_PATIENCE"]), "")

if "TANDEM_FAULT" in os.environ:
    sys.meta_path.insert(0, Faulty())
