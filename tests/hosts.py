"""Hosts of the tests' own: each has its network address, name, home, processes, shared memory and ssh, as a machine has.

They are Linux namespaces on this machine, so making them takes root; /mnt/tandem is a disk that all of them share.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOOLS = ("ip", "unshare", "setpriv", "nsenter", "/usr/sbin/sshd", "ssh", "ssh-keygen", "rsync")

HOME = "/mnt/home"  # on each host another folder; no host sees those of the others

SSHD = f"""
Port 22
HostKey {HOME}/host_key
AuthorizedKeysFile {HOME}/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
PidFile none
MaxStartups 100
"""

# Runs as process 1 of the host.
BOOT = """
set -e
hostname {name}
ip link set lo up
mount -t tmpfs tmpfs /mnt
mkdir /mnt/tandem {HOME}
mount --bind {shared} /mnt/tandem
mount --bind {home} {HOME}
mount --bind {HOME}/passwd /etc/passwd
mount --bind {HOME}/hosts /etc/hosts
mount -t tmpfs -o size=8g tmpfs /dev/shm
mkdir -p /tmp/ray /run/sshd
mount --bind {HOME}/ray /tmp/ray
mount -t tmpfs tmpfs {folder}
exec /usr/sbin/sshd -D -f {HOME}/sshd_config -E {HOME}/sshd.log
"""

# Packages that are installed once, for all hosts: 5 GB that no test should copy.
SITE = sysconfig.get_path("purelib")
COMMAND = f"""#!{HOME}/tandem-venv/bin/python
import sys
from importlib.metadata import entry_points
sys.exit(next(iter(entry_points(group="console_scripts", name="{{name}}"))).load()())
"""


def missing_for_hosts() -> str:
    """Why hosts cannot be made here; empty if they can."""
    if os.geteuid() != 0:
        return "making hosts takes root"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"making hosts takes {', '.join(lacking)}"
    probe = subprocess.run(["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "true"], capture_output=True)
    return "" if probe.returncode == 0 else "namespaces are not allowed here"


class Host:
    """One of them. ``address`` is its own; the machine that runs the test has number 1 in the same network."""

    def __init__(self, network: "Network", name: str, number: int) -> None:
        self.network = network
        self.name = name
        self.namespace = f"{network.prefix}-{number}"
        self.address = f"{network.subnet}.{number}"
        self.home = network.folder / name
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self, public_key: str) -> None:
        """Home, keys, and a virtual environment that finds the packages of this one but not Tandem."""
        (self.home / "ray").mkdir(parents=True)
        (self.home / "authorized_keys").write_text(public_key)
        (self.home / ".bashrc").touch()
        lines = Path("/etc/passwd").read_text().splitlines()
        own = f"root:x:0:0:root:{HOME}:/bin/bash"
        (self.home / "passwd").write_text("\n".join([own, *(x for x in lines if not x.startswith("root:"))]) + "\n")
        (self.home / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        (self.home / "sshd_config").write_text(SSHD)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.home / "host_key"))
        environment = self.home / "tandem-venv"
        run(sys.executable, "-m", "venv", "--without-pip", str(environment))
        site = next(environment.glob("lib/python*/site-packages"))
        (site / "packages.pth").write_text(f"{SITE}\n")
        for command in ("pip", "ray", "tensorboard"):
            path = environment / "bin" / command
            path.write_text(COMMAND.format(name=command))
            path.chmod(0o755)
        # Nothing is to be fetched: what pip needs besides Tandem itself is there.
        (environment / "pip.conf").write_text("[global]\nno-index = true\nno-build-isolation = false\n")

    def boot(self) -> None:
        """Switch it on."""
        bridge, prefix = self.network.bridge, self.namespace
        run("ip", "netns", "add", prefix)
        # The card is the same after a power cut: with another one, neighbours would send to the old one for some time.
        card = ":".join(["02", "00", *(f"{int(part):02x}" for part in self.address.split("."))])
        pair = [f"{prefix}v", "type", "veth", "peer", "name", "eth0", "address", card, "netns", prefix]
        run("ip", "link", "add", *pair)
        run("ip", "link", "set", f"{prefix}v", "master", bridge, "up")
        run("ip", "-n", prefix, "addr", "add", f"{self.address}/24", "dev", "eth0")
        run("ip", "-n", prefix, "link", "set", "eth0", "up")
        run("ip", "-n", prefix, "route", "add", "default", "via", f"{self.network.subnet}.1")
        script = BOOT.format(
            name=self.name, home=self.home, shared=self.network.shared, folder=self.network.folder, HOME=HOME
        )
        own = ["unshare", "--mount", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child", "bash", "-c", script]
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", prefix, *own])
        deadline = time.monotonic() + 60
        while self.network.ssh(self, "true").returncode:
            assert self.process.poll() is None, f"{self.name} does not boot"
            assert time.monotonic() < deadline, f"{self.name} does not answer"
            time.sleep(0.1)

    def cut_power(self) -> None:
        """Every process of the host ends at once, and nobody is told: no connection is closed."""
        if self.process is not None:
            run("ip", "link", "delete", f"{self.namespace}v")
            self.process.kill()
            self.process.wait()
            self.process = None
            run("ip", "netns", "delete", self.namespace)


class Network:
    """Some hosts on one network with the machine that runs the test."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder = folder
        self.shared = folder / "shared"
        self.shared.mkdir(parents=True)
        self.prefix = f"t{os.getpid() % 10_000}"  # the kernel allows 15 characters for what is made of it
        self.bridge = f"{self.prefix}br"
        self.subnet = f"10.77.{os.getpid() % 250}"
        self.key = folder / "key"
        self.hosts = [Host(self, name, number) for number, name in enumerate(names, start=2)]

    def __getitem__(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    def start(self) -> None:
        """Make the network and switch all hosts on."""
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "addr", "add", f"{self.subnet}.1/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        for host in self.hosts:
            host.prepare(self.key.with_suffix(".pub").read_text())
            host.boot()

    def ssh(self, host: Host, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on a host to its end."""
        return subprocess.run(self._ssh(host, command), capture_output=True, text=True)

    def open_ssh(self, host: Host, command: str) -> subprocess.Popen[str]:
        """Start a command on a host; what it prints is read with ``communicate``."""
        return subprocess.Popen(self._ssh(host, command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def _ssh(self, host: Host, command: str) -> list[str]:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=5"]
        flags = [part for option in options for part in ("-o", option)]
        return ["ssh", "-i", str(self.key), *flags, f"root@{host.address}", command]

    def stop(self) -> None:
        """Remove all of it."""
        for host in self.hosts:
            host.cut_power()
        subprocess.run(["ip", "link", "delete", self.bridge], capture_output=True)


@contextmanager
def network(folder: Path, names: list[str]) -> Iterator[Network]:
    """Hosts for the length of the block."""
    made = Network(folder, names)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def run(*command: str) -> None:
    """A command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
