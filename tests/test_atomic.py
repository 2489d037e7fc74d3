import errno
from pathlib import Path

import numpy as np
import pytest

from core.atomic import append_line, naming, new_array, new_file, new_folder, write_text


def test_a_folder_appears_under_its_name_only_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with new_folder(target, tmp_path / "partial") as partial:
        (partial / "a").write_text("1")
        assert not target.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert (target / "a").read_text() == "1"


def test_a_folders_arrays_are_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed, target = [], tmp_path / "whole"
    monkeypatch.setattr("core.atomic.flush", lambda path: flushed.append((path.name, target.exists())))
    with new_folder(target, tmp_path / "partial") as folder:
        (folder / "inner").mkdir()
        for name in ("a.npy", "inner/b.npy"):
            (folder / name).write_text("x")
    assert sorted(flushed) == [("a.npy", False), ("b.npy", False)]
    assert target.is_dir()


def test_a_block_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    def interrupted() -> None:
        with new_folder(tmp_path / "target", tmp_path / "partial") as partial:
            (partial / "a").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_what_an_interrupted_run_left_does_not_get_into_the_folder(tmp_path: Path) -> None:
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial" / "old").touch()
    with new_folder(tmp_path / "target", tmp_path / "partial") as partial:
        (partial / "new").touch()
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["new"]


def test_a_folder_that_holds_something_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "mine").touch()
    with pytest.raises(OSError, match="not empty"), new_folder(tmp_path / "target", tmp_path / "partial"):
        pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine", "target"]


def test_text_replaces_text_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "one\n")
    write_text(tmp_path / "a", "zwölf\n")
    assert (tmp_path / "a").read_bytes() == "zwölf\n".encode()
    assert len(list(tmp_path.iterdir())) == 1


def test_text_that_cannot_be_written_leaves_the_old_text(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "one")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a", "\udc80")  # no UTF-8 for half a surrogate pair
    assert (tmp_path / "a").read_text() == "one"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("left", ["", "1,2\n", "1,2\n3,", "3", "1\n" + "9" * 10_000])
def test_a_line_is_appended_behind_the_last_whole_one(tmp_path: Path, left: str) -> None:
    path = tmp_path / "curves.csv"
    path.write_text(left)
    append_line(path, "5,6\n")
    assert path.read_text() == left[: left.rfind("\n") + 1] + "5,6\n"


def test_an_array_has_its_room_on_the_disk_before_it_is_filled(tmp_path: Path) -> None:
    array = new_array(tmp_path / "a.npy", np.uint8, (3, 1_000_000))
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 3_000_000
    array[2, 5] = 7
    array.flush()
    read = np.load(tmp_path / "a.npy")
    assert (read.shape, read.dtype, int(read[2, 5]), int(read.sum())) == ((3, 1_000_000), np.uint8, 7, 7)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
def test_a_write_that_finds_a_full_disk_names_the_file_that_it_was_for(tmp_path: Path) -> None:
    def write() -> None:
        with naming(tmp_path / "mine"), Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")

    with pytest.raises(OSError, match="No space left on device") as caught:
        write()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "mine"))


def test_a_new_file_that_cannot_be_written_names_itself_and_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with new_file(tmp_path / "mine") as partial:
            partial.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="mine"):
        write()
    assert list(tmp_path.iterdir()) == []
