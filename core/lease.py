"""One driver a run, also where runs are kept under a URL, which knows no locks."""

import errno
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path

from core.errors import UserError
from core.json_text import parse_json
from core.mirror import Mirror

LEASE = "lease.json"
STALE_SECONDS = 90.0  # a driver renews its lease every few seconds; after so many without, it is taken for dead
SETTLE_SECONDS = 1.0
LOOKS = 5
LOOK_SECONDS = 0.05  # between looks at a file that says nothing


class Lease:
    """A file beside the run's that says who works on it.

    The storage's clock decides how old it is. Two drivers that come at the same moment both write it; after a second
    it is the later one's. Once it is taken, all other methods may be called from several threads.
    """

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self.identity = uuid.uuid4().hex
        self.busy = threading.Lock()
        """Held by whoever renews or releases it: of two threads that do, each sees what the other has written whole."""

    def holder(self) -> dict[str, object]:
        """What the file says; empty if there is none.

        Raises:
            OSError: the storage cannot be reached.
        """
        for _ in range(LOOKS):
            content = self.mirror.read(LEASE)
            if content is None:
                break
            try:
                found = parse_json(content.decode())
            except ValueError:  # another process may be writing it just now; else nobody of us wrote it
                time.sleep(LOOK_SECONDS)
                continue
            return found if isinstance(found, dict) else {}
        return {}

    def take(self) -> str:
        """Become the holder; the identity of the one before, or an empty string.

        Raises:
            UserError: another driver holds it.
            OSError: the storage cannot be reached.
        """
        before = self.holder()
        if before and not before.get("released") and self._alive(before):
            raise UserError(
                f"{self.mirror.url}: another process is working on this run ({_named(before)}); "
                f"if that is gone, it is yours {STALE_SECONDS:g} s after its last sign of life"
            )
        self._write(released=False)
        time.sleep(SETTLE_SECONDS)
        if not self.is_ours():
            raise UserError(f"{self.mirror.url}: another process has just taken this run ({_named(self.holder())})")
        return str(before.get("identity", ""))

    def renew(self) -> bool:
        """Sign of life; whether the lease is still ours. One that names nobody any more becomes ours again.

        Raises:
            OSError: the storage cannot be reached, or holds nothing any more, as a folder whose disk is not mounted.
        """
        with self.busy:
            holder = self.holder()
            if holder and holder.get("identity") != self.identity:
                return False
            if not holder and self.mirror.known and not self.mirror.names():
                raise FileNotFoundError(errno.ENOENT, "nothing is there any more")
            self._write(released=False)
            return True

    def release(self) -> None:
        """Let others have the run.

        Raises:
            OSError: the storage cannot be reached.
        """
        with self.busy:
            if self.is_ours():
                self._write(released=True)

    def is_ours(self) -> bool:
        """Whether nobody else took it.

        Raises:
            OSError: the storage cannot be reached.
        """
        return self.holder().get("identity") == self.identity

    def _write(self, released: bool) -> None:
        content = {"identity": self.identity, "host": socket.gethostname(), "machine": machine(), "pid": os.getpid()}
        content["released"] = released
        self.mirror.write(LEASE, json.dumps(content).encode())

    def _alive(self, holder: dict[str, object]) -> bool:
        pid = holder.get("pid")
        here = holder.get("host") == socket.gethostname() and holder.get("machine") == machine()
        if here and isinstance(pid, int) and not _running(pid):
            return False
        return self.mirror.age(LEASE) < STALE_SECONDS


def machine() -> str:
    """What tells machines, and containers on one, apart that have the same name: since when it runs, and whose process
    numbers it sees. Empty where the system does not say."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return ""


def _named(holder: dict[str, object]) -> str:
    return f"process {holder.get('pid')} on {holder.get('host')}"


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
