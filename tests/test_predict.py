"""The script that puts a winner to photos, as a person runs it."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from photo_desk import SIZES, expected_points, predict
from PIL import Image

from core.celeba import LANDMARK_COLUMNS
from core.errors import UserError
from core.mirror import Mirror
from core.models import FaceModel
from core.names import MEAN_FACE, Precision
from core.run_folder import RunFolder
from core.urls import below
from core.winner import load_model, read_backbone, read_winner
from scripts.predict import photo_files, predicted


def test_of_a_folder_photos_are_taken_and_it_is_said_how_many_entries_they_are(tmp_path: Path, capsys) -> None:
    for name in ("b.JPG", "a.png", "c.heic", ".hidden.txt", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "more").mkdir()
    assert photo_files([tmp_path, tmp_path / "c.heic"]) == [
        tmp_path / "a.png",
        tmp_path / "b.JPG",
        tmp_path / "c.heic",
    ]
    assert capsys.readouterr().out == (
        f"note: {tmp_path}: 2 of its 5 entries are taken, those that end in .jpg, .jpeg, .png\n"
    )
    for name in ("c.heic", "notes.txt"):
        (tmp_path / name).unlink()
    (tmp_path / "more").rmdir()
    assert len(photo_files([tmp_path])) == 2
    assert capsys.readouterr().out == ""


def test_photos_and_folders_give_lines_a_table_and_drawings(
    sure_run: RunFolder, photos: list[Path], tmp_path: Path
) -> None:
    shutil.copy(photos[0], tmp_path / "0.jpg")  # a name that the folder has too
    places = ["--csv", tmp_path / "found.csv", "--draw", tmp_path / "drawn/here", "--cache", tmp_path / "cache"]
    done = predict(sure_run.path / "winners/multitask", tmp_path / "0.jpg", photos[0].parent, *places)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0].startswith("multitask, seed 2 of run made")  # the better one by its curve
    assert said[1] == "note: this winner was trained on drawn faces, and of photographs its answers are worth nothing"
    assert said[2].startswith(f"{tmp_path / '0.jpg'}: woman, 80 %; left eye (")
    assert len(said) == 8
    assert said[2].endswith(f"; drawing: {tmp_path / 'drawn/here/0-drawn.png'}")
    assert said[3].endswith(f"; drawing: {tmp_path / 'drawn/here/0-drawn-2.png'}")
    last = (tmp_path / "found.csv").read_text().splitlines()[-1].split(",")
    assert all(len(number.partition(".")[2]) <= 2 for number in last[3:])
    table = pd.read_csv(tmp_path / "found.csv")
    assert table["image"].tolist() == [str(path) for path in [tmp_path / "0.jpg", *photos]]
    assert (table["gender"] == "woman").all()
    np.testing.assert_allclose(table["probability_man"], 0.2, atol=1e-6)
    for row, size in enumerate([SIZES[0], *SIZES]):
        found = table.loc[row, list(LANDMARK_COLUMNS)].to_numpy(dtype=float).reshape(5, 2)
        np.testing.assert_allclose(found, expected_points(size), atol=0.02)
    drawn = sorted(path.name for path in (tmp_path / "drawn/here").iterdir())
    assert drawn == ["0-drawn-2.png", *(f"{number}-drawn.png" for number in range(5))]


def test_a_seed_can_be_named_and_so_can_a_run_with_one_winner(
    sure_run: RunFolder, photos: list[Path], tmp_path: Path
) -> None:
    seed = predict(f"{sure_run.path}/winners/gender/seed-0/", photos[0])
    assert seed.returncode == 0, seed.stderr
    assert seed.stdout.splitlines()[2] == f"{photos[0]}: man, 75 %"
    alone = tmp_path / "alone"
    shutil.copytree(sure_run.path, alone)
    table = pd.read_csv(alone / "winners.csv")
    table[table["model"].isin(["multitask", MEAN_FACE])].to_csv(alone / "winners.csv", index=False)
    whole = predict(alone, photos[0])
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout.startswith("multitask, seed 2 of run alone")


def test_photos_that_cannot_be_read_are_named_and_the_others_are_not_lost(
    sure_run: RunFolder, photos: list[Path], tmp_path: Path
) -> None:
    photos[1].write_bytes(photos[1].read_bytes()[:300])
    photos[3].write_text("no picture")
    missing = tmp_path / "missing.jpg"
    done = predict(sure_run.path / "winners/gender", *photos, missing, "--csv", tmp_path / "found.csv")
    assert done.returncode == 2
    cut, text, none = done.stderr.splitlines()
    assert cut.startswith(f"error: {photos[1]}: must be a whole JPEG or PNG image, decoding it failed (")
    assert text == f"error: {photos[3]}: must be a JPEG or PNG image, it is neither"
    assert none == f"error: {missing}: cannot be read (No such file or directory)"
    assert pd.read_csv(tmp_path / "found.csv")["image"].tolist() == [str(photos[i]) for i in (0, 2, 4)]


BAD: dict[str, tuple[Callable[[RunFolder, Path], list[object]], str]] = {
    "several winners": (lambda sure_run, _: [sure_run.path], "has several winners; name one of .*winners/multitask"),
    "no such winner": (
        lambda sure_run, _: [sure_run.path / "winners/gender-2"],
        "no winner 'gender-2'; it lists multitask, ",
    ),
    "no such seed": (
        lambda sure_run, _: [sure_run.path / "winners/gender/seed-1"],
        "has no seed-1; it has seed-0, seed-2",
    ),
    "no run": (lambda _, folder: [folder], "no run here"),
    "table in no folder": (
        lambda sure_run, folder: [sure_run.path / "winners/gender", "--csv", folder / "none/a.csv"],
        "--csv .*a.csv: must be a file in a folder that exists and can be written to",
    ),
    "no such winner, with drawings": (
        lambda sure_run, folder: [sure_run.path / "winners/gender-2", "--draw", folder / "new"],
        "no winner 'gender-2'",
    ),
    "drawings in a file": (
        lambda sure_run, folder: [sure_run.path / "winners/gender", "--draw", folder / "photos/0.jpg"],
        "--draw .*0.jpg: must be a folder",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(
    sure_run: RunFolder, photos: list[Path], tmp_path: Path, case: str
) -> None:
    make, rule = BAD[case]
    before = sorted(tmp_path.rglob("*"))
    winner, *options = make(sure_run, tmp_path)
    done = predict(winner, photos[0], *options)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert pd.Series([done.stderr]).str.contains(rule).all(), done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_answers_are_told_before_a_drawing_can_fail(
    sure_run: RunFolder, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("core.photo.drawn_photo", full)
    done = predict(sure_run.path / "winners/gender/seed-0", photos[0], "--draw", tmp_path / "drawn")
    assert (done.returncode, done.stderr) == (2, f"error: {tmp_path / 'drawn/0-drawn.png'}: No space left on device\n")
    assert f"{photos[0]}: man, 75 %; drawing: " in done.stdout
    assert not list((tmp_path / "drawn").iterdir())


def test_a_gpu_that_fails_is_one_line_and_an_export_needs_none(
    sure_run: RunFolder, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing() -> torch.device:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GB.\nMore lines.")

    monkeypatch.setattr("scripts.predict.device_at_hand", lambda: torch.device("cuda"))
    monkeypatch.setattr("scripts.predict.make_repeatable", lambda _: None)
    monkeypatch.setattr("scripts.predict.look_at", lambda *_: failing())
    monkeypatch.setattr("core.models.FaceModel.to", lambda self, *_: self)
    assert predicted(load_model_of(sure_run), Precision.FP32, []) == []
    with pytest.raises(
        UserError,
        match=r"the GPU failed while photos were predicted \(CUDA out of memory\. Tried to allocate 1 GB\.\); CUDA_VIS",
    ):
        predicted(load_model_of(sure_run), Precision.FP32, photos)


def load_model_of(run: RunFolder) -> FaceModel:
    winner = read_winner(run, "gender")
    return load_model(read_backbone(run), winner, winner.folders[0], torch.device("cpu"))


def test_an_empty_folder_is_refused(sure_run: RunFolder, tmp_path: Path) -> None:
    done = predict(sure_run.path / "winners/gender", tmp_path)
    assert (done.returncode, "must hold photos" in done.stderr) == (2, True)


def test_nothing_that_is_written_replaces_a_photo_or_something_else_that_is(
    sure_run: RunFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "a-drawn.png"):
        Image.new("RGB", (50, 50)).save(folder / name)
    (tmp_path / "link").symlink_to(folder)
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    for options, message in (
        (["--draw", tmp_path / "link"], "a-drawn.png is a photo to look at too"),
        (["--csv", tmp_path / "photos/../link/a.png"], "a.png is a photo to look at too"),
        (["--csv", tmp_path / "x", "--export", tmp_path / "link/../x"], "x is the file of --csv too"),
        (["--export", tmp_path / "onnx"], "onnx: must be a name that ends in .onnx"),
    ):
        done = predict(sure_run.path / "winners/gender", folder, *options)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
        assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "photos"]


def test_a_name_that_is_no_utf8_or_holds_a_terminals_codes_is_shown_with_escapes(
    sure_run: RunFolder, tmp_path: Path
) -> None:
    names = [os.fsdecode(b"caf\xe9.png"), "a\x1b[2Jb\n.png"]
    for name in names:
        Image.new("RGB", (50, 50)).save(tmp_path / name)
    done = predict(sure_run.path / "winners/gender", *(tmp_path / name for name in names), "--csv", tmp_path / "t.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2:] == [
        f"{tmp_path}/caf\\udce9.png: man, 75 %",
        f"{tmp_path}/a\\x1b[2Jb\\n.png: man, 75 %",
    ]
    assert len(pd.read_csv(tmp_path / "t.csv")) == 2


def test_a_replication_of_the_paper_is_sent_to_its_tables(
    sure_run: RunFolder, photos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "paper").mkdir()
    search = json.loads(sure_run.search.read_text())
    search["plan"] = {"paper": {}, **search["plan"]}
    (tmp_path / "paper/search.json").write_text(json.dumps(search))
    done = predict(tmp_path / "paper", photos[0])
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"a replication of the paper; its winners are in {tmp_path}/paper/table1 to table4" in done.stderr


def test_a_run_may_lie_in_a_folder_called_winners(sure_run: RunFolder, photos: list[Path], tmp_path: Path) -> None:
    shutil.copytree(sure_run.path, tmp_path / "winners/gender")
    done = predict(tmp_path / "winners/gender", photos[0])
    assert "has several winners" in done.stderr
    done = predict(tmp_path / "winners/gender/winners/landmarks", photos[0])
    assert done.returncode == 0, done.stderr


def test_a_command_without_photos_or_export_is_refused(sure_run: RunFolder) -> None:
    done = predict(sure_run.path / "winners/gender")
    assert (done.returncode, done.stderr) == (2, "error: nothing to do: name photos, or --export FILE\n")


def test_a_table_or_drawings_of_no_photos_are_refused(sure_run: RunFolder, tmp_path: Path) -> None:
    for option in ("--csv", "--draw"):
        done = predict(sure_run.path / "winners/gender", "--export", tmp_path / "m.onnx", option, tmp_path / "x")
        assert (done.returncode, done.stderr) == (2, f"error: {option}: there are no photos that it could be of\n")
    assert not list(tmp_path.glob("*.onnx"))


def test_a_photo_that_is_a_link_to_itself_is_one_line(sure_run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "a.jpg")
    done = predict(sure_run.path / "winners/gender", tmp_path / "a.jpg")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "a.jpg" in done.stderr


def test_a_winner_of_a_run_on_s3_is_found_there(
    sure_run: RunFolder, photos: list[Path], tmp_path: Path, s3: str
) -> None:
    url = below(s3, tmp_path.name, "made")
    Mirror(sure_run.path, url).push()
    done = predict(below(url, "winners", "gender", "seed-2"), photos[0], "--cache", tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{photos[0]}: woman, 80 %"


def test_a_winner_without_a_search_that_ended_is_refused(sure_run: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(sure_run.path, tmp_path / "young")
    (tmp_path / "young/winners.csv").unlink()
    with pytest.raises(UserError, match="no winners yet; finish the search first"):
        read_winner(RunFolder(tmp_path / "young"), "gender")
