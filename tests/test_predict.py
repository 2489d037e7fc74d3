"""Photos of any size, and the script that puts a winner to them as a person runs it."""

import io
import json
import math
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from finished_run import FACE, write_run
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from torchvision import transforms

import core.onnx_file
from core.celeba import LANDMARK_COLUMNS
from core.crop import crop_landmarks, photo_landmarks
from core.errors import UserError
from core.faces import Faces, load_drawn_faces
from core.mirror import Mirror, below
from core.names import MEAN_FACE, Precision
from core.photo import MARK, Photo, drawn_photo, look_at, open_photo, photo_table
from core.run_folder import RunFolder
from core.splits import split_faces
from core.weights import Weights
from core.winner import load_model, read_backbone, read_winner
from search_spaces.catalogue import find_space
from tune.plan import Plan, Profile, settled_space

SCRIPT = Path(__file__).parents[1] / "scripts" / "predict.py"
SIZES = [(178, 218), (1024, 768), (90, 90), (300, 1200), (33, 40)]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    return load_drawn_faces(40, 0, tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, faces: Faces, weights: Weights) -> RunFolder:
    """Winners that say the same of every photo: the face FACE, and of a man 75 % (seed 0) or 20 % (seed 2)."""
    plan = Plan(
        space=settled_space(find_space("joint"), Profile.FAST, {}).to_json(), profile=Profile.FAST, drawn_faces=40
    )
    split = split_faces(faces.gender, faces.identity, 0)
    kinds = {label: label for label in ("multitask", "gender", "landmarks", "attention")}
    made = write_run(tmp_path_factory.mktemp("runs") / "made", faces, split, weights, kinds, plan.to_json())
    for path in made.path.glob("winners/*/seed-*/weights.safetensors"):
        odds = 3.0 if path.parent.name == "seed-0" else 0.25
        says = {"gender": torch.tensor([0.0, math.log(odds)]), "landmarks": torch.from_numpy(FACE / 224).flatten()}
        tensors = load_file(path)
        for name in tensors:
            head = name.split(".")[1]
            if name.endswith("6.weight"):
                tensors[name] = torch.zeros_like(tensors[name])
            if name.endswith("6.bias"):
                tensors[name] = says[head]
        save_file(tensors, path)
    pd.DataFrame({"epoch": [1], "relative_error": [0.1]}).to_csv(
        made.winner("multitask", 2) / "curve.csv", index=False
    )  # better than seed 0's 1/3
    return made


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photos"
    folder.mkdir()
    found = []
    for number, size in enumerate(SIZES):
        found.append(folder / f"{number}.{'png' if number % 2 else 'jpg'}")
        Image.effect_noise(size, 60).convert("RGB").save(found[-1])
    return found


def expected_points(size: tuple[int, int]) -> NDArray[np.float64]:
    """FACE in pixels of a photo: a crop pixel is a square, and so are the photo's."""
    scaled = [int(256 * side / min(size)) for side in size]
    corner = [round((side - 224) / 2) for side in scaled]
    found: NDArray[np.float64] = (FACE.astype(np.float64) + corner + 0.5) / scaled * size - 0.5
    return found


class Done(NamedTuple):
    returncode: object
    stdout: str
    stderr: str


def predict(*words: object) -> Done:
    """The script as a person runs it, without the seconds of a new process."""
    out, err, code = io.StringIO(), io.StringIO(), None
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            code = end.code
    said = "".join(
        line
        for line in out.getvalue().splitlines(True)
        if not line.startswith(("reading photos: ", "predicting: ", "drawing: "))
    )
    return Done(code or 0, said, err.getvalue())


@pytest.mark.parametrize("size", SIZES)
def test_the_way_back_from_the_crop_undoes_the_way_there(size: tuple[int, int]) -> None:
    points = np.array([[0, 0], [3.5, 10], [size[0] - 1, size[1] - 1], [20, 20.25], [-4, 7]], np.float32)
    np.testing.assert_allclose(photo_landmarks(crop_landmarks(points, size), size), points, atol=1e-3)


@pytest.mark.parametrize("size", [(178, 218), (1024, 768), (300, 900)])
def test_what_is_found_at_a_spot_of_torchvisions_crop_is_at_that_spot_of_the_photo(size: tuple[int, int]) -> None:
    """A disc is painted into a photo, found in the crop by its centre of mass, and taken back."""
    centre, radius = (0.45 * size[0], 0.52 * size[1]), 0.06 * min(size)
    photo = Image.new("RGB", size)
    box = [centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius]
    ImageDraw.Draw(photo).ellipse(box, fill="white")
    cropped = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(photo)
    mass = np.asarray(cropped, dtype=np.float64).sum(axis=2)
    y, x = (np.indices(mass.shape) * mass).sum(axis=(1, 2)) / mass.sum()
    found = photo_landmarks(np.array([[x, y]], np.float32), size)[0]
    assert np.abs(found - centre).max() < 0.75 * max(1, min(size) / 256)  # a pixel of the coarser picture


@pytest.mark.parametrize("label", ["multitask", "gender", "landmarks", "attention"])
def test_a_model_is_told_in_photo_pixels_whatever_the_size(run: RunFolder, photos: list[Path], label: str) -> None:
    winner = read_winner(run, label)
    model = load_model(read_backbone(run), winner, winner.folders[0], CPU)
    heard: list[int] = []
    found = look_at(model, photos, Precision.FP32, CPU, heard.append)
    assert heard == [5]
    for photo, path, size in zip(found, photos, SIZES, strict=True):
        assert (photo.path, photo.size) == (path, size)
        if label != "landmarks":
            assert photo.probability_man == pytest.approx(0.75, abs=1e-6)
            assert photo.gender == "man"
        else:
            assert photo.gender is photo.probability_man is None
        if label != "gender":
            assert photo.landmarks is not None
            np.testing.assert_allclose(photo.landmarks, expected_points(size), atol=1e-2)
        else:
            assert photo.landmarks is None


def test_a_photo_that_its_camera_noted_to_lie_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    upright = Image.new("RGB", (60, 80))
    upright.paste("red", (0, 0, 60, 20))
    note = Image.Exif()
    note[0x0112] = 6  # the top of the stored picture is the right side of the scene
    upright.rotate(90, expand=True).save(tmp_path / "side.png", exif=note)
    found = open_photo(tmp_path / "side.png")
    assert found.size == (60, 80)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(upright))


def test_a_damaged_note_about_the_camera_does_not_cost_the_photo(run: RunFolder, tmp_path: Path) -> None:
    Image.new("RGB", (60, 80), "blue").save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12broken")
    assert open_photo(tmp_path / "a.jpg").size == (60, 80)
    command = [sys.executable, SCRIPT, run.path / "winners/gender", tmp_path / "a.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_note_of_which_another_part_is_damaged_still_turns_the_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = Image.Exif()
    note[0x0112] = 8
    Image.new("RGB", (60, 80), "blue").save(tmp_path / "a.jpg", exif=note)

    def damaged(*_: object) -> bytes:
        raise TypeError("a tag that cannot be written")

    monkeypatch.setattr(Image.Exif, "tobytes", damaged)
    assert open_photo(tmp_path / "a.jpg").size == (80, 60)


def test_the_table_has_celebas_columns_and_gaps_for_what_a_model_does_not_predict() -> None:
    points = np.arange(10, dtype=np.float32).reshape(5, 2) + 0.128
    table = photo_table(
        [Photo(Path("a.jpg"), (9, 9), 0.25, None), Photo(Path("b/c.png"), (9, 9), None, points)],
    )
    assert list(table) == ["image", "gender", "probability_man", *LANDMARK_COLUMNS]
    assert table["image"].tolist() == ["a.jpg", "b/c.png"]
    assert table["gender"].fillna("").tolist() == ["woman", ""]
    assert table.loc[0, "probability_man"] == 0.25
    assert table.loc[0, "lefteye_x":].isna().all()  # type: ignore[misc]  # a slice of labels
    assert table.loc[1, "lefteye_x":].tolist() == pytest.approx(points.ravel().tolist(), abs=0.005)  # type: ignore[misc]


def test_a_drawing_marks_the_landmarks_and_leaves_the_rest_as_it_was() -> None:
    photo = Photo(
        Path("a.jpg"), (100, 120), None, np.array([[20, 30], [80, 30], [50, 60], [30, 90], [70, 90]], np.float32)
    )
    drawn = np.asarray(drawn_photo(photo, Image.new("RGB", photo.size, "gray")))
    scale = 5  # the shorter side has at least 448 pixels
    assert drawn.shape == (scale * 120, scale * 100, 3)
    colour = np.array([int(MARK[i : i + 2], 16) for i in (1, 3, 5)])
    marked = (drawn == colour).all(axis=2)
    assert photo.landmarks is not None
    for x, y in (photo.landmarks + 0.5) * scale - 0.5:
        near = marked[int(y) - 12 : int(y) + 14, int(x) - 12 : int(x) + 14]
        rows, columns = np.nonzero(near)
        assert abs(rows.mean() + int(y) - 12 - y) < 1
        assert abs(columns.mean() + int(x) - 12 - x) < 1
        marked[int(y) - 12 : int(y) + 14, int(x) - 12 : int(x) + 14] = False
    assert not marked.any()


def test_photos_and_folders_give_lines_a_table_and_drawings(run: RunFolder, photos: list[Path], tmp_path: Path) -> None:
    shutil.copy(photos[0], tmp_path / "0.jpg")  # a name that the folder has too
    places = ["--csv", tmp_path / "found.csv", "--draw", tmp_path / "drawn/here", "--cache", tmp_path / "cache"]
    done = predict(run.path / "winners/multitask", tmp_path / "0.jpg", photos[0].parent, *places)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0].startswith("multitask, seed 2 of run made")  # the better one by its curve
    assert said[1].startswith(f"{tmp_path / '0.jpg'}: woman, 80 %; left eye (")
    assert len(said) == 7
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
    run: RunFolder, photos: list[Path], tmp_path: Path
) -> None:
    seed = predict(f"{run.path}/winners/gender/seed-0/", photos[0])
    assert seed.returncode == 0, seed.stderr
    assert seed.stdout.splitlines()[1] == f"{photos[0]}: man, 75 %"
    alone = tmp_path / "alone"
    shutil.copytree(run.path, alone)
    table = pd.read_csv(alone / "winners.csv")
    table[table["model"].isin(["multitask", MEAN_FACE])].to_csv(alone / "winners.csv", index=False)
    whole = predict(alone, photos[0])
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout.startswith("multitask, seed 2 of run alone")


def test_photos_that_cannot_be_read_are_named_and_the_others_are_not_lost(
    run: RunFolder, photos: list[Path], tmp_path: Path
) -> None:
    photos[1].write_bytes(photos[1].read_bytes()[:300])
    photos[3].write_text("no picture")
    missing = tmp_path / "missing.jpg"
    done = predict(run.path / "winners/gender", *photos, missing, "--csv", tmp_path / "found.csv")
    assert done.returncode == 2
    assert [line.split(":")[:2] for line in done.stderr.splitlines()] == [
        ["error", f" {path}"] for path in (photos[1], photos[3], missing)
    ]
    assert pd.read_csv(tmp_path / "found.csv")["image"].tolist() == [str(photos[i]) for i in (0, 2, 4)]


BAD: dict[str, tuple[Callable[[RunFolder, Path], list[object]], str]] = {
    "several winners": (lambda run, _: [run.path], "has several winners; name one of .*winners/multitask"),
    "no such winner": (lambda run, _: [run.path / "winners/gender-2"], "no winner 'gender-2'; it lists multitask, "),
    "no such seed": (lambda run, _: [run.path / "winners/gender/seed-1"], "has no seed-1; it has seed-0, seed-2"),
    "no run": (lambda _, folder: [folder], "no run here"),
    "table in no folder": (
        lambda run, folder: [run.path / "winners/gender", "--csv", folder / "none/a.csv"],
        "--csv .*a.csv: must be a file in a folder that exists and can be written to",
    ),
    "no such winner, with drawings": (
        lambda run, folder: [run.path / "winners/gender-2", "--draw", folder / "new"],
        "no winner 'gender-2'",
    ),
    "drawings in a file": (
        lambda run, folder: [run.path / "winners/gender", "--draw", folder / "photos/0.jpg"],
        "--draw .*0.jpg: must be a folder",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(
    run: RunFolder, photos: list[Path], tmp_path: Path, case: str
) -> None:
    make, rule = BAD[case]
    before = sorted(tmp_path.rglob("*"))
    winner, *options = make(run, tmp_path)
    done = predict(winner, photos[0], *options)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert pd.Series([done.stderr]).str.contains(rule).all(), done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_refused(run: RunFolder, tmp_path: Path) -> None:
    done = predict(run.path / "winners/gender", tmp_path)
    assert (done.returncode, "must hold photos" in done.stderr) == (2, True)


def test_nothing_that_is_written_replaces_a_photo_or_something_else_that_is(run: RunFolder, tmp_path: Path) -> None:
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
    ):
        done = predict(run.path / "winners/gender", folder, *options)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
        assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "photos"]


def test_a_name_that_is_no_utf8_or_holds_a_terminals_codes_is_shown_with_escapes(
    run: RunFolder, tmp_path: Path
) -> None:
    names = [os.fsdecode(b"caf\xe9.png"), "a\x1b[2Jb\n.png"]
    for name in names:
        Image.new("RGB", (50, 50)).save(tmp_path / name)
    done = predict(run.path / "winners/gender", *(tmp_path / name for name in names), "--csv", tmp_path / "t.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [
        f"{tmp_path}/caf\\udce9.png: man, 75 %",
        f"{tmp_path}/a\\x1b[2Jb\\n.png: man, 75 %",
    ]
    assert len(pd.read_csv(tmp_path / "t.csv")) == 2


def test_a_replication_of_the_paper_is_sent_to_its_tables(run: RunFolder, photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "paper").mkdir()
    search = json.loads(run.search.read_text())
    search["plan"] = {"paper": {}, **search["plan"]}
    (tmp_path / "paper/search.json").write_text(json.dumps(search))
    done = predict(tmp_path / "paper", photos[0])
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"a replication of the paper; its winners are in {tmp_path}/paper/table1 to table4" in done.stderr


def test_a_run_may_lie_in_a_folder_called_winners(run: RunFolder, photos: list[Path], tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "winners/gender")
    done = predict(tmp_path / "winners/gender", photos[0])
    assert "has several winners" in done.stderr
    done = predict(tmp_path / "winners/gender/winners/landmarks", photos[0])
    assert done.returncode == 0, done.stderr


def test_an_answer_that_is_no_number_is_an_error(run: RunFolder, photos: list[Path]) -> None:
    winner = read_winner(run, "multitask")
    model = load_model(read_backbone(run), winner, winner.folders[0], CPU)
    with torch.no_grad():
        model.get_parameter("heads.landmarks.6.bias")[3] = math.inf
    with pytest.raises(UserError, match=r"0\.jpg: the model's answer to it, or to one after it, is not finite"):
        look_at(model, photos, Precision.FP32, CPU, lambda _: None)


@pytest.mark.parametrize("label", ["multitask", "gender", "landmarks", "attention"])
def test_an_exported_model_says_the_same_in_another_runtime(run: RunFolder, tmp_path: Path, label: str) -> None:
    """Of faces that the export did not try, in batches of any size; the winners' own heads say the same of each."""
    random = np.random.default_rng(0)
    for path in run.path.glob(f"winners/{label}/seed-2/weights.safetensors"):
        tensors = {
            name: t + 0.01 * torch.from_numpy(random.normal(size=t.shape)).float()
            for name, t in load_file(path).items()
        }
        shutil.copytree(run.path, tmp_path / "run")
        save_file(tensors, tmp_path / "run" / path.relative_to(run.path))
    winner = tmp_path / "run/winners" / label / "seed-2"
    done = predict(winner, "--export", tmp_path / "model.onnx")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "run"]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    notes = session.get_modelmeta().custom_metadata_map
    assert (notes["winner"], notes["seed"], notes["run"]) == (label, "2", "run")
    found = read_winner(RunFolder(tmp_path / "run"), label)
    model = load_model(read_backbone(RunFolder(tmp_path / "run")), found, winner, CPU)
    for count in (1, 3):
        faces = random.integers(0, 256, (count, 3, 224, 224), dtype=np.uint8)
        with torch.no_grad():
            said = model(model.frozen_features(torch.from_numpy(faces)))
        answers = dict(
            zip([each.name for each in session.get_outputs()], session.run(None, {"faces": faces}), strict=True)
        )
        expected = {}
        if "gender" in said:
            odds = np.exp(said["gender"].double().numpy())
            expected["probability_man"] = odds[:, 1] / odds.sum(axis=1)
        if "landmarks" in said:
            expected["landmarks"] = 224 * said["landmarks"].double().numpy()
        assert set(answers) == set(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(answers[name], values, atol=1e-4 * (224 if name == "landmarks" else 1))


@pytest.mark.parametrize("off", [2e-4 * 224, math.nan])
def test_a_model_that_another_runtime_reads_differently_is_not_written(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    """Only the second of its two outputs differs."""
    real = onnxruntime.InferenceSession.run
    monkeypatch.setattr(
        onnxruntime.InferenceSession,
        "run",
        lambda *words: [value + off * row for row, value in enumerate(real(*words))],
    )
    done = predict(run.path / "winners/multitask", "--export", tmp_path / "model.onnx")
    assert done.returncode == 2
    assert "not written, its outputs differ from torch's" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_model_too_large_for_one_file_is_refused_before_the_work(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.onnx_file, "MOST_BYTES", 10**7)
    done = predict(run.path / "winners/gender", "--export", tmp_path / "model.onnx")
    assert (done.returncode, "this model has 0.1 GB of weights" in done.stderr) == (2, True)


def test_an_export_without_its_packages_says_what_to_install(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = predict(run.path / "winners/gender", "--export", tmp_path / "model.onnx")
    assert (done.returncode, done.stderr) == (
        2,
        "error: --export: needs onnxruntime: pip install -c constraints.txt '.[onnx]'\n",
    )


def test_a_command_without_photos_or_export_is_refused(run: RunFolder) -> None:
    done = predict(run.path / "winners/gender")
    assert (done.returncode, done.stderr) == (2, "error: nothing to do: name photos, or --export FILE\n")


def test_a_winner_of_a_run_on_s3_is_found_there(run: RunFolder, photos: list[Path], tmp_path: Path, s3: str) -> None:
    url = below(s3, tmp_path.name, "made")
    Mirror(run.path, url).push()
    done = predict(below(url, "winners", "gender", "seed-2"), photos[0], "--cache", tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{photos[0]}: woman, 80 %"


def test_a_winner_without_a_search_that_ended_is_refused(run: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "young")
    (tmp_path / "young/winners.csv").unlink()
    with pytest.raises(UserError, match="no winners yet; finish the search first"):
        read_winner(RunFolder(tmp_path / "young"), "gender")
