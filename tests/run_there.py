"""A run in a folder or under a URL, made in a moment, and waiting for what becomes of it."""

import time

import pytest
from test_openings import SEARCH

import core.keeper
from core import lease
from core.storage import Storage


def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy and renew ten times a second, and wait for rivals only as long."""
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(core.keeper, "SYNC_SECONDS", 0.1)


def begun(place, cache, name="a"):
    """A storage and a run in it, made as a search makes it."""
    storage = Storage(place, cache)
    run = storage.new_run(name, "x")
    run.path.mkdir(parents=True)
    run.write_search(SEARCH)
    return storage, run


def waited(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
