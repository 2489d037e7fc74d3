"""Somebody who uses a cluster of several hosts: a machine of their own, and the commands that the guide tells them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from hosts import Network
from s3_server import DIRECT

ROOT = Path(__file__).parent.parent
TINY = "--drawn-faces 40 --weights random --trials 6 --epochs 2 --retrain-epochs 2 --retrain-seeds 2 --set head_width=8 frozen_blocks=5"
INSTALLED = ("core", "search_spaces", "tune", "scripts", "pyproject.toml", "constraints.txt", "README.md", ".gitignore")


def documented(section: str) -> list[str]:
    """The commands of a section of docs/cluster.md, in its order."""
    text = (ROOT / "docs" / "cluster.md").read_text()
    part = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [
        line for block in re.findall(r"^```\n(.*?)^```$", part, re.DOTALL | re.MULTILINE) for line in block.splitlines()
    ]


def only(commands: list[str], start: str, *, having: str = "") -> str:
    [command] = [command for command in commands if command.startswith(start) and having in command]
    return command


def copy_tandem(folder: Path) -> None:
    """Everything that an installation needs; with the caches that Python leaves it would not be the same twice."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in INSTALLED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


class Desk:
    """The machine of somebody who uses a cluster: a home, Tandem's folder, and a shell."""

    def __init__(self, folder: Path, hosts: Network) -> None:
        self.folder = folder / "tandem"
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        copy_tandem(self.folder)
        path = self.folder / "scripts" / "cluster" / "onprem.yaml"
        head, *workers = [host.address for host in hosts.hosts]
        filled = path.read_text().replace("HEAD\n", f"{head}\n").replace("WORKER_1, WORKER_2", ", ".join(workers))
        path.write_text(filled.replace("USER\n", "root\n").replace("~/.ssh/id_ed25519", str(hosts.key)))
        own = {"HOME": str(self.home), "TMPDIR": str(folder), "RAY_TMPDIR": str(folder)}
        self.environment = {**os.environ, **own, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.environment.pop("RAY_AUTH_MODE", None)  # the documented commands set it
        self.open: list[subprocess.Popen[str]] = []

    def shell(self, command: str, *more: str, seconds: float = 600) -> str:
        """What a command prints, which must end well."""
        words = f"export RAY_AUTH_MODE=token; {' '.join([command, *more])}"
        done = subprocess.run(
            ["bash", "-c", words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0, f"{command}: {printed[-3000:]}"
        return printed

    def keep_open(self, command: str) -> None:
        """Run a command as in a terminal of its own."""
        self.open.append(
            subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.folder, env={**self.environment, "RAY_AUTH_MODE": "token"},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
            )
        )  # fmt: skip

    def close(self) -> None:
        for process in self.open:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def fetched(url: str, token: str = "", seconds: float = 60) -> tuple[int, bytes]:
    """Status and body, once somebody answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
            with DIRECT.open(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, b""
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.5)


def on_host(hosts: Network, name: str, command: str) -> str:
    done = hosts.ssh(hosts[name], f"source ~/.bashrc; {command}")
    assert done.returncode == 0, done.stderr
    return done.stdout
