"""A CelebA folder, damaged at random, and what a search and ``prepare_celeba`` do with it."""

import os
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image

from benchmarks.face_folder import write_face_folder
from benchmarks.mutations import TOKENS, any_bytes, changed_bytes
from core.celeba import IMAGE_FOLDER, read_celeba
from core.faces import Faces, load_celeba_faces
from core.mini import LEAST_PEOPLE, build_mini

IMAGES = 24
FORMATS = ("PNG", "BMP", "GIF", "TIFF", "WEBP")
MODES = ("1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "I")
SIZES = ((1, 1), (1, 9), (9000, 1), (40, 30000), (400, 399))


def write_folder(faces: Faces, folder: Path) -> None:
    """The whole folder, from which every damaged one is copied."""
    write_face_folder(faces, IMAGES, folder, lambda *_: None)


def read_folder(folder: Path, scratch: Path) -> int:
    """What a search does with a folder, then what ``prepare_celeba`` does, whose folder must be one that we read."""
    shutil.rmtree(scratch, ignore_errors=True)
    mini = build_mini(folder, scratch / "mini", LEAST_PEOPLE)
    faces = load_celeba_faces(folder, scratch / "cache")
    assert len(faces) >= mini.faces == len(read_celeba(scratch / "mini").file)
    return len(faces)


def damage(folder: Path, chance: random.Random) -> None:
    """One to three changes of a folder, most often one."""
    for _ in range(chance.choice([1, 1, 2, 3])):
        paths = sorted(path for path in folder.rglob("*") if not path.is_symlink())
        if not paths:
            return
        tables = [path for path in paths if path.parent == folder]
        path = chance.choice(tables if chance.random() < 0.4 and tables else paths)
        if path.is_file():
            chance.choice(FILE_CHANGES)(path, chance)
        else:
            chance.choice((_remove, _replace_by_link, _rename))(path, chance)


def bomb(width: int, height: int) -> bytes:
    """A whole PNG header that claims so many pixels, and next to nothing after it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def _change(path: Path, chance: random.Random) -> None:
    path.write_bytes(changed_bytes(path.read_bytes(), chance))


def _noise(path: Path, chance: random.Random) -> None:
    path.write_bytes(any_bytes(chance))


def _remove(path: Path, _: random.Random) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _rename(path: Path, chance: random.Random) -> None:
    target = path.with_name(chance.choice(["other", f"{path.stem}.csv", path.name.upper(), "é ü.jpg", "\x1b[2J.jpg"]))
    if not target.exists():
        path.rename(target)


def _replace_by_folder(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _replace_by_link(path: Path, chance: random.Random) -> None:
    """A link to itself, to nothing, out of the folder, to a device, or to a neighbour."""
    _remove(path, chance)
    neighbours = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    targets = [path.name, "missing", "/etc/passwd", "../../secret.jpg", "/dev/zero", "/", ".", *neighbours[:2]]
    path.symlink_to(str(chance.choice(targets)))


def _replace_by_pipe(path: Path, _: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _image(path: Path, chance: random.Random) -> None:
    """An image of another kind: format, mode or size; sometimes only the beginning of it."""
    kind, mode, size = chance.choice(FORMATS), chance.choice(MODES), chance.choice(SIZES)
    file = BytesIO()
    try:
        Image.new(mode, size).save(file, kind)
    except (OSError, ValueError):  # there is no such combination
        file.write(bomb(*chance.choice([(100_000, 100_000), (0, 0), (10_000, 10_000), (7_000, 7_000), (2**31 - 1, 1)])))
    whole = file.getvalue()
    path.write_bytes(whole if chance.random() < 0.7 else whole[: chance.randrange(len(whole))])


def _name_in_table(path: Path, chance: random.Random) -> None:
    """A name in a table leads somewhere else; in a table it is the first word of a line."""
    names = [b"../secret.jpg", b"/etc/passwd", b"..\\secret.jpg", b"a\x00b.jpg", b"a b.jpg", IMAGE_FOLDER.encode()]
    lines = path.read_bytes().split(b"\n")
    chosen = chance.randrange(len(lines))
    _, blank, rest = lines[chosen].partition(b" ")
    lines[chosen] = chance.choice([*names, *TOKENS]) + blank + rest
    path.write_bytes(b"\n".join(lines))


def _as_csv(path: Path, chance: random.Random) -> None:
    """The table in Kaggle's form, with what a spreadsheet makes of it."""
    rows = [b",".join(line.split()) for line in path.read_bytes().split(b"\n")]
    if chance.random() < 0.5:
        rows = rows[1:] and [b"image_id," + rows[1], *rows[2:]]
    if chance.random() < 0.3:
        rows = [row.replace(b".jpg", b" 1.jpg") for row in rows]
    path.unlink()
    path.with_suffix(".csv").write_bytes(b"\n".join(rows))


FILE_CHANGES: tuple[Callable[[Path, random.Random], None], ...] = (
    _change,
    _change,
    _change,
    _noise,
    _remove,
    _rename,
    _replace_by_folder,
    _replace_by_link,
    _replace_by_pipe,
    _image,
    _image,
    _name_in_table,
    _name_in_table,
    _as_csv,
)
