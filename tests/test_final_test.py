"""The scores of the final test, and the script as a person runs it."""

import io
import json
import math
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from doors import exit_code
from filelock import FileLock
from finished_run import FACE, made_predictions, made_winner, write_run
from test_importance_table import row, table

import core.bench
from core import final_test
from core.errors import UserError
from core.faces import load_drawn_faces
from core.final_test import predictions_table, scored, scores_table
from core.importance_table import Verdict
from core.metrics import Predictions, Truth, man_probability
from core.names import MEAN_FACE
from core.run_folder import RunFolder
from core.splits import split_faces
from core.weights import Weights
from core.winner import read_winners
from search_spaces.catalogue import find_space
from tune.plan import Plan
from tune.profile import Profile, settled_space

GENDER = np.arange(8) % 2
TRUTH = Truth(GENDER, np.tile(FACE, (8, 1, 1)))
MEAN_FACE_NME_PCT = np.full(8, 40.0)
SURE = math.log(1 + math.exp(-1))  # cross-entropy of a face that is right with a margin of 1


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final_test, "RESAMPLES", 40)
    monkeypatch.setattr("core.inference.WARM_UP", 0)
    monkeypatch.setattr("core.inference.TIMED", 1)


def winner_off_by(
    label: str, shifts_px: tuple[float, ...] = (6.4, 12.8), tasks: str = "gender landmarks", **settings: object
) -> final_test.Tested:
    """A winner whose landmarks are off by so many pixels, 64 being the distance between the eyes."""
    winner = made_winner(label, replicates=(4, 10)[: len(shifts_px)], **settings)
    runs = [made_predictions(TRUTH.landmarks, GENDER, shift, tasks) for shift in shifts_px]
    return scored(winner, runs, 2.5, TRUTH, MEAN_FACE_NME_PCT)


def result(*winners: final_test.Tested) -> final_test.TestResult:
    baseline = {"nme_pct": (40.0, 39.0, 41.0), "relative_error": (1.0, 1.0, 1.0)}
    files = [f"{index}.jpg" for index in range(8)]
    return final_test.TestResult(
        TRUTH, np.zeros((8, 3, 224, 224), np.uint8), np.arange(8), files, baseline, list(winners)
    )


def as_file(table: pd.DataFrame) -> pd.DataFrame:
    """What a reader of the CSV file finds, every cell as its text."""
    return pd.read_csv(io.StringIO(table.to_csv(index=False)), dtype=str, keep_default_na=False)


def test_scores_are_means_over_seeds_and_their_spread_stands_beside() -> None:
    one = winner_off_by("multitask")
    assert one.scores["nme_pct"] == pytest.approx((15.0, 15.0, 15.0), rel=1e-5)  # 10 and 20 % of the eye distance
    assert one.seed_sd["nme_pct"] == pytest.approx(math.sqrt(50), rel=1e-5)
    assert one.gain == pytest.approx((25.0, 25.0, 25.0), rel=1e-5)
    assert one.scores["relative_error"][0] == pytest.approx((SURE / math.log(2) + 15 / 40) / 2, rel=1e-5)


def test_the_loss_is_the_winners_own_as_mean_over_seeds_without_interval() -> None:
    one = winner_off_by("multitask", architecture="multitask", lambda1=3, lambda2=7)
    l1 = np.array([6.4, 12.8]) / 224 / 2  # only x is off
    value, low, high = one.scores["loss"]
    assert value == pytest.approx(3 * SURE + 7 * l1.mean(), rel=1e-5)
    assert math.isnan(low)
    assert math.isnan(high)
    assert one.seed_sd["loss"] == pytest.approx(7 * l1.std(ddof=1), rel=1e-4)


def test_a_single_seed_has_no_spread() -> None:
    assert winner_off_by("multitask", (6.4,)).seed_sd == {}


def test_scores_csv_counts_seeds_in_whole_numbers_and_the_baseline_has_none() -> None:
    table = as_file(scores_table(result(winner_off_by("multitask"), winner_off_by("gender", (0.0,), "gender"))))
    assert table["model"].tolist() == ["multitask", "gender", MEAN_FACE]
    assert table["seeds"].tolist() == ["2", "1", ""]


def test_scores_csv_has_the_loss_under_its_promised_name_and_none_for_the_baseline() -> None:
    table = as_file(scores_table(result(winner_off_by("landmarks", tasks="landmarks", architecture="landmarks"))))
    assert float(table["test_loss"][0]) == pytest.approx(9.6 / 224 / 2, rel=1e-5)
    assert table["test_loss"][1] == ""
    assert table["test_loss_lo"].tolist() == table["test_loss_hi"].tolist() == ["", ""]
    assert "test_gender_auc" not in table


def test_predictions_csv_names_each_seed_by_its_own_number() -> None:
    table = predictions_table(result(winner_off_by("multitask")))
    assert table["seed"].tolist() == [4] * 8 + [10] * 8
    assert table["nme_pct"].to_numpy() == pytest.approx([10.0] * 8 + [20.0] * 8, rel=1e-5)
    assert table["file"].tolist() == [f"{index}.jpg" for index in range(8)] * 2
    assert table["nose_x_px"][0] == pytest.approx(112 + 6.4, rel=1e-6)


def test_probabilities_are_the_logistic_function_and_never_overflow() -> None:
    margins = np.array([-1e5, -800.0, -2.0, 0.0, 2.0, 800.0, 1e5])
    with warnings.catch_warnings(), np.errstate(over="raise", divide="raise", invalid="raise"):
        warnings.simplefilter("error")
        found = man_probability(np.stack([margins * 0 + 1, margins + 1], axis=1))
    assert found == pytest.approx([0, 0, 1 / (1 + math.e**2), 0.5, 1 / (1 + math.e**-2), 1, 1])


def test_a_very_sure_model_makes_no_noise_in_predictions_csv(recwarn: pytest.WarningsRecorder) -> None:
    winner = made_winner("gender", (0,), architecture="gender")
    logits = np.where(GENDER[:, None] == [0, 1], 900.0, -900.0).astype(np.float32)
    table = predictions_table(result(scored(winner, [Predictions(logits)], 1.0, TRUTH, MEAN_FACE_NME_PCT)))
    assert table["probability_man"].tolist() == GENDER.tolist()
    assert not recwarn.list


# The script


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run(tmp_path: Path, cache: Path, weights: Weights) -> RunFolder:
    faces = load_drawn_faces(40, 0, cache)
    split = split_faces(faces.gender, faces.identity, 0)
    space = settled_space(find_space("multitask"), Profile.FAST, {}).to_json()
    plan = Plan(space=space, profile=Profile.FAST, drawn_faces=40).to_json()
    models = {"gender": "gender", "multitask-2": "multitask"}
    return write_run(tmp_path / "storage" / "first", faces, split, weights, models, plan)


def script(*words: object) -> object:
    return exit_code("final_test.py", *words)


def test_no_test_face_is_predicted_if_one_of_the_models_cannot_be_loaded(
    run: RunFolder, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    predicted = []
    monkeypatch.setattr(core.bench, "predict", lambda *_: predicted.append(1))
    last = read_winners(run)[-1].folders[-1]  # all before it are whole
    (last / "weights.safetensors").write_bytes(b"")
    assert script(run.path, "--cache", cache) == 2
    assert "multitask-2/seed-2/weights.safetensors: not readable as weights" in capsys.readouterr().err
    assert predicted == []
    assert not run.test.exists()


@pytest.mark.slow
def test_the_script_leaves_all_that_is_promised_and_is_told_from_inside_the_run(
    run: RunFolder, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.path)
    table(row("lr", Verdict.MATTERS)).to_csv(run.importance, index=False)
    other = RunFolder(run.path.with_name("second"))
    other.test.mkdir(parents=True)
    other.search.write_bytes(run.search.read_bytes())
    (other.test / "opened.json").write_text('["2026-01-02"]')
    assert script(".", "--cache", cache) == 0
    out = capsys.readouterr().out
    for label in ("gender", "multitask-2"):
        for number in (0, 2):
            assert f"{label}, seed {number}: predicting 4 faces" in out
    assert "note: the same test faces have been opened by run second on 2026-01-02" in out
    assert "opened before" not in out
    scores = pd.read_csv(run.test / "scores.csv", dtype={"seeds": "Int64"}).set_index("model")
    assert scores["seeds"].tolist()[:2] == [2, 2]
    assert scores["test_loss"].notna().tolist() == [True, True, False]
    assert set(pd.read_csv(run.test / "predictions.csv")["seed"]) == {0, 2}
    assert (run.test / "figures" / "predictions_multitask.png").is_file()
    assert (run.test / "figures" / "importance.png").is_file()
    page = (run.test / "report.html").read_text()
    assert "Final test of run “first”" in page
    assert "opened by run “second” on" in page
    assert "multitask (24 trials): lr matters (62 %, 41 to 78)" in page
    assert script(run.path, "--cache", cache) == 0
    assert "has been opened before: 20" in capsys.readouterr().out
    assert len(json.loads((run.test / "opened.json").read_text())) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("error", "code"), [(UserError("the disk is full"), 2), (KeyboardInterrupt(), 130)])
def test_a_test_that_is_cut_off_while_it_draws_is_gone_on_with_and_counts_once(
    run: RunFolder, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys, error: BaseException, code: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("core.gallery.write_figures", Mock(side_effect=error))
        patch.setattr("signal.signal", lambda *_: None)  # an interrupted script hears no second Ctrl-C
        assert script(run.path, "--cache", cache) == code
    scores = pd.read_csv(run.test / "scores.csv")
    out = capsys.readouterr().out
    assert ("predicting 4 faces" in out, "it goes on, as the same opening" in out) == (True, code == 130)
    assert script(run.path, "--cache", cache) == 0
    out = capsys.readouterr().out
    assert "going on with the test of 20" in out
    assert "predicting" not in out
    assert len(json.loads((run.test / "opened.json").read_text())) == 1
    pd.testing.assert_frame_equal(pd.read_csv(run.test / "scores.csv"), scores)
    assert "opened before" not in (run.test / "report.html").read_text()


@pytest.mark.slow
def test_what_tensorboard_cannot_be_given_costs_no_scores(run: RunFolder, cache: Path, monkeypatch, capsys) -> None:
    full = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter", full)
    assert script(run.path, "--cache", cache) == 0
    out = capsys.readouterr().out
    assert "note: TensorBoard does not have the figures (No space left on device)" in out
    assert "gender_auc" in out


def change_split(run: RunFolder) -> None:
    """Two faces change places."""
    content = run.split.read_text()
    test, train = (next(row for row in content.splitlines() if row.endswith(part)) for part in (",test", ",train"))
    swapped = content.replace(test, test[:-5] + ",train").replace(train, train[:-6] + ",test")
    run.split.write_text(swapped)


def change_faces(run: RunFolder) -> None:
    run.write_search(run.read_search() | {"data_fingerprint": "0"})


REFUSED = {
    "importance.csv: not written by a search": lambda run: run.importance.write_text("a\n1\n"),
    "split.csv: not the split that the search was made with": change_split,
    "not the faces of this run": change_faces,
    "seed-2/weights.safetensors: ": lambda run: (run.winner("gender", 2) / "weights.safetensors").write_bytes(b""),
    "backbone.safetensors: ": lambda run: run.backbone.unlink(),
    "search.py --resume first --storage": lambda run: (run.winner("gender", 2) / "config.json").unlink(),
    "no run here": lambda run: run.search.unlink(),
}


@pytest.mark.parametrize(("message", "damage"), REFUSED.items(), ids=REFUSED)
def test_what_is_wrong_is_one_line_and_does_not_count_as_an_opening(
    run: RunFolder, cache: Path, capsys, message: str, damage: Callable[[RunFolder], object]
) -> None:
    damage(run)
    assert script(run.path, "--cache", cache) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert message in errors[0]
    assert not run.test.exists()


def test_a_device_that_fails_is_found_before_the_test_split_is_opened(run: RunFolder, cache: Path, monkeypatch, capsys):
    def fails(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nMore about it")

    monkeypatch.setattr("core.winner.look_at", fails)
    assert script(run.path, "--cache", cache) == 2
    (error,) = capsys.readouterr().err.strip().splitlines()
    assert "seed-0: cannot be used on the cpu (CUDA out of memory. Tried to allocate 20.00 MiB.)" in error
    assert not run.test.exists()


def test_a_run_that_another_process_works_on_is_left_alone(run: RunFolder, cache: Path, capsys) -> None:
    holder = "import filelock, sys; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(flush=True); input()"
    words = [sys.executable, "-c", holder, str(run.path / ".lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert script(run.path, "--cache", cache) == 2
        process.communicate("\n")
    assert "another process is working on this run" in capsys.readouterr().err
    assert not run.test.exists()
    with FileLock(run.path / ".lock", timeout=0):
        pass


@pytest.mark.slow
def test_long_work_says_something_every_few_seconds(run: RunFolder, cache: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("tune.progress.Progress.__init__.__defaults__", (0.05,))
    monkeypatch.setattr(core.bench, "inference_ms", lambda *_: time.sleep(3) or 3000.0)
    assert script(run.path, "--cache", cache) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("gender: timing one face; 0:") for line in lines) >= 2
