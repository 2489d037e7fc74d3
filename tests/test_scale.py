import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import benchmarks.face_folder
import benchmarks.process
import benchmarks.scale
import benchmarks.scale_faces
from benchmarks.face_folder import busy_plain_rate, plain_loop, write_face_folder
from benchmarks.instant_trials import made_up_metrics
from benchmarks.process import Peak, in_fresh_process, private_bytes, resident_bytes
from benchmarks.scale_faces import FACES, MOST_DISK, check_disk, disk_bytes, faces_row, turn
from benchmarks.scale_training import made_up_inputs, memory_of_reading, opened
from benchmarks.scale_trials import DRIVEN, PLAN, RAY, folder_size, growth, last_results, resume_seconds, trials_row
from benchmarks.scale_workers import QUICK_PLAN, with_speedup
from benchmarks.table import medians, text_table
from core.errors import UserError
from core.faces import load_celeba_faces, load_drawn_faces
from core.names import Precision
from core.run_folder import RunFolder
from tune.machine import Workers
from tune.search import Search

MB = 2**20


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return load_drawn_faces(24, 0, tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def folder(drawn, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "celeba"
    write_face_folder(drawn, 40, out, lambda *_: None)
    return out


@pytest.fixture(scope="module")
def faces(folder, tmp_path_factory):
    return load_celeba_faces(folder, tmp_path_factory.mktemp("cache"))


def test_the_plain_loop_gives_the_pixels_that_tandem_keeps(folder, faces):
    assert np.array_equal(plain_loop(folder / "img_align_celeba", 40), faces.images)


def test_landmarks_in_the_folder_are_those_of_the_drawn_faces(drawn, faces):
    # 224 pixels became 178, then 256 for a width of 178; the square begins 20 rows down, and the crop at (16, 44).
    scale = 178 / 224
    stored = (drawn.landmarks + 0.5) * scale - 0.5 + np.array([0, 20])
    expected = (stored + 0.5) * np.array([256 / 178, 313 / 218]) - 0.5 - np.array([16, 44])
    np.testing.assert_allclose(faces.landmarks[:24], expected, atol=0.02)  # the file has two decimals
    assert np.array_equal(faces.gender[24:], drawn.gender[:16])
    assert len(set(faces.identity)) == 40


def test_a_core_of_tandem_is_compared_with_the_one_of_the_plain_loop(monkeypatch):
    monkeypatch.setattr(benchmarks.scale_faces, "cores", lambda: 4)
    # The plain loop: 10 images in 2 s, all on the CPU. Tandem: 80 images in 5 s, 20 s on 4 CPUs.
    row = turn(80, 10, [(0.0, 0.0), (2.0, 2.0), (7.0, 22.0)], busy_plain_rate=2.5)
    assert (row["images_per_s"], row["images_per_s_core"], row["plain_images_per_s_core"]) == (16, 4, 5)
    assert row["ratio_to_plain"] == pytest.approx(4 / 5)
    assert row["ratio_to_busy_plain"] == pytest.approx(4 / 2.5)
    assert row["ratio_of_cpu_time"] == pytest.approx(0.2 / 0.25)


def test_plain_loops_on_all_cores_are_timed_side_by_side(folder, monkeypatch):
    monkeypatch.setattr(benchmarks.face_folder, "cores", lambda: 3)
    assert 1 < busy_plain_rate(folder / "img_align_celeba", 40) < 100_000


def grown_by(megabytes: int, keep: bool) -> tuple[float, float]:
    before = private_bytes()
    with Peak() as peak:
        held = [np.ones(megabytes * MB, np.uint8)]
        benchmarks.process.time.sleep(2 * benchmarks.process.EVERY_SECONDS)
        if not keep:
            held.clear()
    return (private_bytes() - before) / MB, (peak.bytes - before) / MB


@pytest.mark.parametrize("keep", [True, False])
def test_private_memory_grows_by_what_is_written_and_its_peak_is_remembered(keep):
    now, peak = in_fresh_process(grown_by, 64, keep)  # this one may have memory left over to use again
    assert now == pytest.approx(64 if keep else 0, abs=4)
    assert peak == pytest.approx(64, abs=4)


def after_reading(path: str) -> tuple[float, float]:
    private, resident = private_bytes(), resident_bytes()
    array = np.load(path, mmap_mode="r")
    assert int(array.sum(dtype=np.int64)) == 64 * MB
    return (private_bytes() - private) / MB, (resident_bytes() - resident) / MB


def test_a_mapped_file_that_is_only_read_is_no_private_memory_even_before_it_is_on_the_disk(tmp_path):
    np.save(tmp_path / "ones.npy", np.ones(64 * MB, np.uint8))
    private, resident = after_reading(str(tmp_path / "ones.npy"))
    assert private < 8
    assert resident > 56


def test_without_proc_the_error_says_what_is_lacking(monkeypatch, tmp_path):
    monkeypatch.setattr(benchmarks.process, "ROLLUP", tmp_path / "none")
    with pytest.raises(UserError, match="only Linux has it"):
        private_bytes()


def test_a_fresh_process_has_the_environment_that_it_is_given():
    assert in_fresh_process(os.getenv, "TANDEM_TEST", environment={"TANDEM_TEST": "yes"}) == "yes"
    assert "TANDEM_TEST" not in os.environ


def test_all_sizes_fit_into_the_disk_that_is_promised(monkeypatch, tmp_path):
    assert disk_bytes(max(FACES)) <= MOST_DISK
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 10**9))
    check_disk(tmp_path, 5_000)
    with pytest.raises(UserError, match=r"50000 faces need 7\.9 GB of disk for a while, 1\.0 are free; set TMPDIR"):
        check_disk(tmp_path, 50_000)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
def test_made_up_activations_look_like_tandems_own(faces, tmp_path, precision):
    inputs = benchmarks.scale_faces.prepared(faces, tmp_path)
    made = made_up_inputs(inputs, tmp_path / "made.npy", precision)
    array = np.load(made.path, mmap_mode="r")
    seen = len(inputs.train.rows) + len(inputs.validation.rows)
    assert array.shape == (seen, 512, 7, 7)
    assert array.dtype == (np.uint16 if precision is Precision.BF16 else np.float32)
    assert sorted([*made.train.rows, *made.validation.rows]) == list(range(seen))
    values = torch.from_numpy(array[:].copy())
    values = values.view(torch.bfloat16) if precision is Precision.BF16 else values
    assert float(values.min()) >= 0
    assert 0.2 < float(values.float().mean()) < 0.3  # the mean of |N(0, 0.3)| is 0.24


def test_reading_faces_takes_little_private_memory(faces, tmp_path):
    inputs = benchmarks.scale_faces.prepared(faces, tmp_path)
    row = memory_of_reading(benchmarks.scale_faces.pickle.dumps(inputs))
    assert 0 <= row["private_mb"] < 40  # a batch is 2.3 MB


def test_a_worker_gets_its_parts_by_pickle_and_its_array_by_path(faces, tmp_path):
    inputs = benchmarks.scale_faces.prepared(faces, tmp_path)
    train, validation = opened(benchmarks.scale_faces.pickle.dumps(inputs))
    assert isinstance(train.inputs, np.memmap)
    assert len(train) + len(validation) == 36  # 10 % of 40 are test faces


@pytest.mark.slow
def test_a_row_of_faces_leaves_nothing_behind(tmp_path):
    row = faces_row(40, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert (row["faces"], row["train_faces"], row["repeats"], row["epochs"]) == (40, 32, 3, 2)
    assert row["epoch_ms_per_face"] == pytest.approx(1e3 * row["epoch_s"] / 32)
    assert row["private_mb_in_all"] > 100  # a model with two heads of 25088 x 512 and its optimiser


def test_every_result_of_every_trial_is_counted_once(tmp_path):
    row = trials_row(30, DRIVEN, tmp_path / "run")
    with (tmp_path / "run" / "trials.csv").open() as file:
        trials = list(csv.DictReader(file))
    assert len(trials) == 30
    assert {trial["status"] for trial in trials} == {"finished", "stopped"}
    assert row["results"] == sum(int(trial["epochs"]) for trial in trials)
    assert row["results"] == len((tmp_path / "run" / "curves.csv").read_text().splitlines()) - 1
    for trial in trials:
        seed = PLAN.trial_seed(int(trial["trial"]))
        best = min(made_up_metrics(seed, epoch)["relative_error"] for epoch in range(1, int(trial["epochs"]) + 1))
        assert float(trial["relative_error"]) == pytest.approx(best)
    journal = [json.loads(line) for line in (tmp_path / "run" / "optuna.journal").read_text().splitlines()]
    assert len({line["trial_id"] for line in journal if "trial_id" in line}) == 30


def test_resuming_finds_all_trials_and_begins_none(tmp_path):
    trials_row(12, DRIVEN, tmp_path / "run")
    run, workers = RunFolder(tmp_path / "run"), Workers(1, 1, 0.0)
    before = [path.read_bytes() for path in (run.trials, run.curves)]
    plan = benchmarks.scale_trials.replace(PLAN, trials=12)
    assert resume_seconds(plan, run, workers) > 0
    assert [path.read_bytes() for path in (run.trials, run.curves)] == before
    ledger = Search(plan, run, benchmarks.scale_trials.stand_in(workers)).ledger
    assert sorted(ledger.entries) == list(range(12))
    assert sum(len(entry.curve) for entry in ledger.entries.values()) == len(run.curves.read_text().splitlines()) - 1


def test_the_last_tenth_is_what_it_says():
    wall = np.cumsum([0.0, *[1.0] * 18, 0.002, 0.004])
    cpu = np.cumsum([0.0, *[1.0] * 18, 0.001, 0.003])
    row = last_results(list(zip(wall.tolist(), cpu.tolist(), strict=True)))
    assert row["result_ms_median"] == pytest.approx(3)
    assert row["result_ms_mean"] == pytest.approx(3)
    assert row["result_cpu_ms_mean"] == pytest.approx(2)


def test_growth_compares_the_most_with_the_fewest_of_each_engine():
    names = ("result_ms_median", "result_ms_mean", "result_cpu_ms_mean")
    rows = [{"trials": t, "engine": e, **dict.fromkeys(names, v)} for t, e, v in ((100, "a", 2.0), (1000, "a", 5.0))]
    (line,) = growth([*rows, {"trials": 100, "engine": "b"}])
    assert line.startswith("a: 1000 trials have 2.50 times the result_ms_median")


def test_the_size_of_a_folder_is_that_of_all_files_below(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "one").write_bytes(b"x" * 1000)
    (tmp_path / "a" / "b" / "two").write_bytes(b"x" * 500_000)
    size = folder_size(tmp_path)
    assert (size["files"], size["folder_mb"]) == (2, pytest.approx(0.501))
    assert size["disk_mb"] >= 0.501


def test_repeats_become_medians_with_a_spread_where_asked():
    rows = [{"engine": "x", "a": value, "b": value} for value in (3.0, 1.0, 2.5)]
    merged = medians(rows, ["a"])
    assert merged == {"engine": "x", "a": 2.5, "a_min": 1.0, "a_max": 3.0, "b": 2.5, "repeats": 3}


def test_a_table_is_aligned_and_shows_a_spread_only_where_there_is_one():
    rows = [{"n": 5, "t": 1.5, "t_min": 1.0, "t_max": 1234.5}, {"n": 50_000, "t": 2.0, "t_min": 2.0, "t_max": 2.0}]
    lines = text_table(rows, ("n", "t", "none")).splitlines()
    assert [line.split() for line in lines] == [
        ["n", "t", "none"],
        ["5", "1.5", "(1", "to", "1234)", "-"],
        ["50000", "2", "-"],
    ]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(("workers", "most", "bound"), [(1, 1, "workers"), (2, 2, "workers"), (4, 2, "cores")])
def test_more_workers_than_cores_are_bound_by_cores(workers, most, bound):
    row = with_speedup({"workers": workers, "cores": 2, "wall_s": 5.0}, {"wall_s": 10.0})
    assert (row["times_faster"], row["at_most"], row["bound_by"]) == (2, most, bound)


def test_no_trial_of_the_workers_search_is_stopped_early():
    assert QUICK_PLAN.grace == QUICK_PLAN.epochs


@pytest.mark.slow
@pytest.mark.cluster
def test_ray_runs_the_same_instant_trials(tmp_path):
    driven, real = (in_fresh_process(trials_row, 6, engine, tmp_path / engine[:4]) for engine in (DRIVEN, RAY))
    assert driven["results"] >= 12  # 2 epochs of grace
    assert real["results"] == len((tmp_path / "with" / "curves.csv").read_text().splitlines()) - 1
    assert set(real) == set(driven)


@pytest.mark.slow
@pytest.mark.cluster
def test_the_command_prints_each_number_of_workers(tmp_path):
    words = [sys.executable, "-m", "benchmarks.scale", "--quick", "--parts", "workers"]
    root = Path(__file__).parents[1]
    done = subprocess.run(
        words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    title, names, *lines = done.stdout.strip().splitlines()[-4:]  # after the progress of preparation
    assert title == "workers: 120 drawn faces, each worker one thread"
    rows = [dict(zip(names.split(), line.split(), strict=True)) for line in lines]
    assert [(row["workers"], row["results"]) for row in rows] == [("1", "16"), ("2", "16")]
    assert rows[0]["best_relative_error"] == rows[1]["best_relative_error"] != "-"
    assert not (tmp_path / "benchmarks").exists()  # --quick is not recorded


@pytest.mark.parametrize(("words", "files"), [([], ["scale_workers.csv"]), (["--quick"], [])])
def test_only_whole_measurements_are_recorded(tmp_path, monkeypatch, words, files):
    monkeypatch.setattr(benchmarks.scale, "RESULTS", tmp_path)
    monkeypatch.setattr(benchmarks.scale, "PARTS", {"workers": lambda *_: [{"device": "A CPU", "workers": 2}]})
    monkeypatch.setattr(sys, "argv", ["scale", "--parts", "workers", *words])
    benchmarks.scale.main()
    assert [path.name for path in tmp_path.iterdir()] == files
    for name in files:
        with (tmp_path / name).open() as file:
            assert [(row["device"], row["workers"]) for row in csv.DictReader(file)] == [("A CPU", "2")]
