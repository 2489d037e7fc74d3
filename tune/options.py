"""Command-line options that several scripts share."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.cache_folder import CACHE_HELP, RUNS, cache_folder, default_cache, kept_cache
from core.config import KEYS
from core.device import gpu_bytes
from core.errors import UserError
from core.names import Precision
from core.preparation import DRAWN
from core.run_folder import RunFolder
from core.storage import Storage, copies_in, run_at
from core.urls import is_url
from tune.machine import Machine, Workers
from tune.materials import Place
from tune.profile import Profile

PLACE = {"resume", "storage", "cache", "workers", "gpus_per_trial", "address", "trial_timeout"}
"""Options that say where the work is done."""

WEIGHTS_HELP = (
    "VGG-16 weights: a file (.pth, .safetensors), imagenet (528 MB, downloaded once), random, or auto: imagenet, and "
    "for drawn faces random where that cannot be had (default: auto)"
)
PROFILE_HELP = (
    "paper: the whole network is trained; fast: heads alone, on cached activations; auto: paper where trials have a "
    "GPU with 8 GB for each, else fast (default: auto)"
)
PAPER_BYTES = 7.5e9
"""Of a GPU: five times the 254 million weights of a model of both tasks (their gradients, Adamax's two states and what
a step takes besides), a batch's activations, and torch's own."""
LONGEST_TIMEOUT = 1e6
"""Twelve days; the watch over a trial counts no further than some hundred years."""

Group = argparse.ArgumentParser | argparse._ArgumentGroup


def add_data_options(group: Group, drawn_faces: int) -> None:
    """Faces, weights, profile and fixed settings; ``drawn_faces`` is how many are drawn by default."""
    group.add_argument("--data", metavar="DIR", help=f"a CelebA folder (default: {DRAWN}, faces made by Tandem)")
    group.add_argument("--drawn-faces", type=int, metavar="N", help=f"how many to draw (default: {drawn_faces})")
    group.add_argument("--weights", metavar="PATH", help=WEIGHTS_HELP)
    group.add_argument("--profile", choices=["auto", *Profile], help=PROFILE_HELP)
    group.add_argument(
        "--set", nargs="+", action="extend", metavar="KEY=VALUE", help=f"fix settings: {', '.join(KEYS)}"
    )


def add_place_options(group: Group, default_name: str) -> None:
    """Name, storage, cache, workers and cluster; ``default_name`` says what a run is called by default."""
    group.add_argument("--name", help=f"of the run (default: {default_name})")
    group.add_argument("--resume", metavar="RUN", help="go on with a run after a crash: its name, or its folder or URL")
    group.add_argument(
        "--storage",
        metavar="PLACE",
        help=f"of runs: a folder that all nodes share, or a URL, as s3:// (default: {RUNS})",
    )
    group.add_argument("--cache", type=cache_folder, metavar="DIR", help=f"{CACHE_HELP}; on every node of a cluster")
    group.add_argument("--workers", type=int, help="trials at once (default: one a GPU, else one for 4 cores)")
    group.add_argument(
        "--gpus-per-trial",
        type=float,
        help="0.5: two trials share a GPU; 0: none is used (default: 1 where there are)",
    )
    group.add_argument(
        "--address", help="of a Ray cluster, auto, or local (default: one started on this machine, else a private Ray)"
    )
    group.add_argument(
        "--trial-timeout",
        type=float,
        metavar="SECONDS",
        help="a trial without a new epoch for so long hangs: it is tried once more (default: waits for ever)",
    )


def check_options(given: dict[str, Any]) -> None:
    """Rules between options.

    Raises:
        UserError: faces both given and drawn, a timeout that is none, or rounds of no race.
    """
    if "drawn_faces" in given and given.get("data", DRAWN) != DRAWN:
        raise UserError("--drawn-faces: there is nothing to draw when --data gives the faces")
    timeout = given.get("trial_timeout")
    if timeout is not None and not 1 <= timeout <= LONGEST_TIMEOUT:
        raise UserError(f"--trial-timeout must be seconds from 1 to {LONGEST_TIMEOUT:g}, got {timeout:g}")
    if "race_rounds" in given and not given.get("race") and "resume" not in given:
        raise UserError("--race-rounds: there is no race without --race N")


def check_resumable(given: dict[str, Any], changeable: set[str]) -> None:
    """Refuse with --resume what cannot be changed any more.

    Raises:
        UserError: another option than those in ``changeable``.
    """
    extra = sorted(set(given) - changeable)
    if extra:
        raise UserError(f"--resume takes its plan from the run; --{extra[0].replace('_', '-')} cannot change it")


def take_up(given: dict[str, Any], recorded: Mapping[str, Any]) -> None:
    """Let a run that is resumed have its first cache and timeout, where the options say no others."""
    given.setdefault("trial_timeout", recorded.get("trial_timeout"))
    cache = kept_cache(recorded)
    if cache is not None:
        given.setdefault("cache", cache)


def kept_places(given: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`take_up` will find in ``search.json``; a ``recorded`` cache that is not here just now stays there."""
    cache = given.get("cache", recorded.get("cache"))
    return {"trial_timeout": given.get("trial_timeout"), "cache": None if cache is None else str(cache)}


def storage_of(given: Mapping[str, Any]) -> Storage:
    """Where runs are kept."""
    return Storage(given.get("storage", RUNS), given.get("cache", default_cache()))


def run_to_resume(given: Mapping[str, Any]) -> tuple[Storage, RunFolder]:
    """The run that --resume names: by its URL, by its folder, or by its name in --storage.

    Raises:
        UserError: a folder in which a run under a URL is only copied.
    """
    word, cache = given["resume"], given.get("cache", default_cache())
    folder = Path(word)
    if not is_url(word) and word == folder.name:
        storage = storage_of(given)
        return storage, storage.run(word)
    if "storage" in given and not _lies_in(word, given["storage"]):
        raise UserError(f"--storage {given['storage']}: --resume {word} is not in it")
    if is_url(word):
        return run_at(word, cache)
    if copies_in(cache) in folder.resolve().parents:
        raise UserError(f"--resume {word}: a copy of a run that is kept under a URL; go on with it there")
    return run_at(word, cache)


def _lies_in(word: str, storage: str) -> bool:
    """Whether the folder or URL of a run is one in a storage."""
    if is_url(word) or is_url(storage):
        return word.rstrip("/").rpartition("/")[0] == storage.rstrip("/")
    return Path(word).resolve().parent == Path(storage).resolve()


def place_on(machine: Machine, given: Mapping[str, Any], workers: Workers, precision: Precision | None = None) -> Place:
    """Where the work will be done; ``precision`` is that of a run that is resumed."""
    return Place(
        cache=given.get("cache", default_cache()),
        workers=workers,
        precision=precision,
        trial_timeout=given.get("trial_timeout"),
        cluster=machine.cluster,
        cache_everywhere=given.get("cache"),
    )


def picked_profile(given: Mapping[str, Any], gpus: float) -> tuple[Profile, str]:
    """The profile that was asked for, or the one that suits the machine; and a line that says so."""
    asked = str(given.get("profile", "auto"))
    if asked != "auto":
        return Profile(asked), f"profile {asked}"
    profile, why = Profile.FAST, "trials have no GPU"
    if gpus:
        room = gpu_bytes() * min(1.0, gpus)
        profile, why = Profile.PAPER, "trials have a GPU"
        if room < PAPER_BYTES:
            profile, why = Profile.FAST, f"a trial has {room / 1e9:.1f} GB of a GPU, too little for some whole networks"
    return profile, f"profile {profile}, because {why} (--profile chooses)"
