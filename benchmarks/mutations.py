"""Files as accidents and malice leave them: random changes of valid content, or content of no kind at all."""

import copy
import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

TOKENS = (
    b"",
    b"\x00",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\r\n",
    b"\n\n",
    b'"',
    b",",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-1",
    b"0",
    b"0.5",
    b"9" * 30,
    b"9" * 5000,
    b"1" + b"0" * 400,
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"../../secret.jpg",
    b"/etc/passwd",
    b"..\\secret.jpg",
    b"\x1b[2J",
    "é\u2028".encode(),
    b"a" * 200_000,
)
MANY_DIGITS = "many digits"  # stands for an integer of 5000 digits, which Python neither reads nor writes
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    0.5,
    1e308,
    float("nan"),
    float("inf"),
    10**30,
    MANY_DIGITS,
    "",
    "a",
    "1",
    "../../x",
    "\x1b[2J\n",
    "é" * 5000,
    [],
    {},
    [1],
    [[1]],
    ["a", "a"],
    {"a": 1},
    {"kind": "float", "low": 0, "high": 1},
)
DEPTH = 900  # nested lists that Python's JSON can still read


def any_bytes(chance: random.Random) -> bytes:
    """Content of no kind: nothing, noise, or printable letters."""
    size = chance.choice([0, 1, 2, 10, 100, 1000])
    letters = b' \t\r\n",.:;{}[]()-+0123456789aeinl' if chance.random() < 0.5 else bytes(range(256))
    return bytes(chance.choices(letters, k=size))


def changed_bytes(content: bytes, chance: random.Random) -> bytes:
    """``content`` after one to four random changes, most often one."""
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        content = chance.choice(CHANGES)(content, chance)
    return content


def changed_json(content: bytes, chance: random.Random) -> bytes:
    """JSON text in which one to three values or keys, most often one, are others, so that it still is JSON."""
    value = json.loads(content)
    for _ in range(chance.choice([1, 1, 2, 3])):
        value = changed_value(value, chance)
    return json.dumps(value).replace(f'"{MANY_DIGITS}"', "9" * 5000).encode()


def changed_archive(content: bytes, chance: random.Random) -> bytes:
    """A zip file in which one file is changed and whose checksums are right again."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    chosen = chance.choice(list(files))
    files[chosen] = changed_bytes(files[chosen], chance)
    if chance.random() < 0.1:
        del files[chance.choice(list(files))]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, part in files.items():
            archive.writestr(name, part)
    return made.getvalue()


def changed_value(value: Any, chance: random.Random) -> Any:
    """A copy in which one value, key or element, at a random depth, is another, gone or doubled."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.1:
        return odd_value(chance)
    made = copy.copy(value)
    key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
    kind = chance.random()
    if kind < 0.7:
        made[key] = changed_value(value[key], chance)
    elif kind < 0.85:
        del made[key]
    elif isinstance(made, dict):
        made[chance.choice([*value, "a", "", "a" * 5000])] = made.pop(key)
    else:
        made.insert(key, made[chance.randrange(len(made))])
    return made


def odd_value(chance: random.Random) -> Any:
    """A value that few places take."""
    if chance.random() < 0.05:
        nested: Any = 1
        for _ in range(DEPTH):
            nested = [nested]
        return nested
    return copy.deepcopy(chance.choice(VALUES))


def _place(content: bytes, chance: random.Random) -> int:
    """A position, every other time near an end, where headers and directories are."""
    if len(content) > 4096 and chance.random() < 0.5:
        near = chance.randrange(2048)
        return near if chance.random() < 0.5 else len(content) - near
    return chance.randint(0, len(content))


def _flip(content: bytes, chance: random.Random) -> bytes:
    made = bytearray(content)
    for _ in range(chance.choice([1, 1, 3, 20]) if made else 0):
        made[min(_place(content, chance), len(made) - 1)] ^= chance.randrange(1, 256)
    return bytes(made)


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: _place(content, chance)]


def _drop(content: bytes, chance: random.Random) -> bytes:
    start = _place(content, chance)
    return content[:start] + content[start + chance.choice([1, 2, 10, 100]) :]


def _insert(content: bytes, chance: random.Random) -> bytes:
    start = _place(content, chance)
    return content[:start] + chance.choice(TOKENS) + content[start:]


def _repeat(content: bytes, chance: random.Random) -> bytes:
    start = _place(content, chance)
    part = content[start : start + chance.choice([1, 10, 100, 1000])]
    return content[:start] + part * chance.randint(2, 5) + content[start:]


def _lines(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    kind = chance.randrange(4)
    if kind == 0:
        del lines[one]
    elif kind == 1:
        lines.insert(other, lines[one])
    elif kind == 2:
        lines[one], lines[other] = lines[other], lines[one]
    else:
        lines[one] = chance.choice(TOKENS)
    return b"\n".join(lines)


def _field(content: bytes, chance: random.Random) -> bytes:
    """One word, between commas, blanks, colons or line breaks, becomes another."""
    start = _place(content, chance)
    ends = [at for mark in (b",", b" ", b"\n", b":", b"}", b"]") if (at := content.find(mark, start)) >= 0]
    before = max(content.rfind(mark, 0, start) for mark in (b",", b" ", b"\n", b":", b"{", b"["))
    return content[: before + 1] + chance.choice(TOKENS) + content[min(ends, default=len(content)) :]


def _recoded(content: bytes, chance: random.Random) -> bytes:
    """The text in another encoding or with other line ends."""
    text = content.decode("latin-1")
    kind = chance.randrange(4)
    if kind == 0:
        return text.encode("utf-16")
    if kind == 1:
        return b"\xef\xbb\xbf" + content
    return content.replace(b"\n", b"\r\n" if kind == 2 else b"\r")


CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip,
    _cut,
    _drop,
    _insert,
    _repeat,
    _lines,
    _field,
    _field,
    _recoded,
)
