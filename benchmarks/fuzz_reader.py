"""A reader that is fuzzed: its valid files, how they are changed, and what reads them."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutations import any_bytes, changed_bytes

Change = Callable[[bytes, random.Random], bytes]
RAW = 0.15  # share of inputs that have nothing to do with a valid file


@dataclass(frozen=True)
class Reader:
    """One reader and the files that it reads.

    Args:
        files: valid content by path; one of them is changed, the others are there as they are.
    """

    name: str
    files: dict[Path, bytes]
    read: Callable[[], object]
    changed: Change = changed_bytes
    """A change that keeps the form of the files; every other time the bytes are changed."""
    names_file: bool = True
    """Whether a clear error must say where the files are."""

    def write_changed(self, chance: random.Random) -> None:
        """Put the files there, one of them changed."""
        chosen = chance.choice(list(self.files))
        for path, content in self.files.items():
            path.write_bytes(self._changed(content, chance) if path == chosen else content)

    def _changed(self, content: bytes, chance: random.Random) -> bytes:
        if chance.random() < RAW:
            return any_bytes(chance)
        return (self.changed if chance.random() < 0.6 else changed_bytes)(content, chance)
