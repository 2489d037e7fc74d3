"""How preparing faces, opening them again, training from them and their memory grow with their number."""

import os
import pickle
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.face_folder import LARGEST_JPEG, busy_plain_rate, plain_loop, write_face_folder
from benchmarks.process import in_fresh_process, now
from benchmarks.scale_training import made_up_inputs, made_up_weights, memory_of_reading, training
from benchmarks.table import Row, medians, spread
from core.activations import activations_bytes
from core.celeba import IMAGE_FOLDER
from core.cores import cores
from core.device import best_precision, device_name
from core.errors import UserError
from core.faces import Faces, load_celeba_faces, load_drawn_faces
from core.names import CROP, Precision
from core.preparation import Inputs, prepare_inputs
from core.splits import split_faces
from tune.cluster import WORKER_ENVIRONMENT
from tune.progress import Counter, Progress, clock

FACES, QUICK_FACES = (500, 5_000, 50_000), (500, 2_000)
DISTINCT = 1_000  # so many are drawn; more files are copies of them
PLAIN = 1_000  # so many images of the folder go through the plain loop, which keeps them in memory
MOST_DISK = 8 * 10**9
OPENINGS = 5
EPOCHS = 2
MANY = 5_000  # above, one repeat takes minutes
CPU = torch.device("cpu")


def disk_bytes(count: int) -> int:
    """The most disk that measuring ``count`` faces holds at one time."""
    decoding = count * (3 * CROP * CROP + LARGEST_JPEG)
    return max(decoding, activations_bytes(count, 5, Precision.FP32))


def check_disk(folder: Path, count: int) -> None:
    """Refuse to start where the disk has no room.

    Raises:
        UserError: it has none.
    """
    need, free = disk_bytes(count), shutil.disk_usage(folder).free
    if free < need:
        rule = "set TMPDIR to a folder with more, or take --quick"
        raise UserError(
            f"{folder}: {count} faces need {need / 1e9:.1f} GB of disk for a while, {free / 1e9:.1f} are free; {rule}"
        )


def faces_row(count: int, scratch: Path) -> Row:
    """All measurements with one number of faces; ``scratch`` is empty before and after."""
    folder, cache = scratch / "celeba", scratch / "cache"
    start = time.perf_counter()
    drawn = load_drawn_faces(min(count, DISTINCT), 0, cache, Counter("drawing faces"))
    row: Row = {
        "device": device_name(CPU),
        "faces": count,
        "faces_drawn": len(drawn),
        "drawn_per_s": len(drawn) / (time.perf_counter() - start),
    }
    write_face_folder(drawn, count, folder, Counter("writing JPEG files"))
    del drawn
    row["jpeg_kb"] = sum(path.stat().st_size for path in (folder / IMAGE_FOLDER).iterdir()) / count / 1e3
    row |= preparation(folder, cache, count, repeats=1 if count > MANY else 3)
    faces = load_celeba_faces(folder, cache)
    inputs = prepared(faces, cache)
    read = in_fresh_process(memory_of_reading, pickle.dumps(inputs), environment=WORKER_ENVIRONMENT)
    row["private_mb_for_faces"] = read["private_mb"]
    del faces
    shutil.rmtree(folder)
    shutil.rmtree(cache)  # the faces go before the activations come: together they would not fit into MOST_DISK
    row |= training_row(inputs, cache)
    shutil.rmtree(cache)
    return row


def preparation(folder: Path, cache: Path, count: int, repeats: int) -> Row:
    """Tandem's decoding on all cores and the plain loop on one, in turn; then how long opening the cache takes."""
    turns = []
    for repeat in range(repeats):
        shutil.rmtree(cache)
        marks = [now()]
        plain_loop(folder / IMAGE_FOLDER, min(count, PLAIN))
        marks.append(now())
        load_celeba_faces(folder, cache, Counter(f"decoding faces, {repeat + 1} of {repeats}"))
        marks.append(now())
        os.sync()  # or the disk would still be taking what was decoded, at the plain loops' cost
        busy = busy_plain_rate(folder / IMAGE_FOLDER, min(count, PLAIN))
        turns.append(turn(count, min(count, PLAIN), marks, busy))
    opened = []
    for _ in range(OPENINGS):
        start = time.perf_counter()
        load_celeba_faces(folder, cache)
        opened.append(time.perf_counter() - start)
    return {**medians(turns, list(turns[0])), **spread("second_load_s", opened)}


def turn(count: int, plain: int, marks: Sequence[tuple[float, float]], busy_plain_rate: float) -> Row:
    """Rates from the clock and this process's time on CPUs before and after the plain loop, and after Tandem.

    A core is slower where the others work too (they share clock, caches and memory), so Tandem's rate a core is also
    held against plain loops that ran on all cores at once.
    """
    (start, start_cpu), (middle, middle_cpu), (end, end_cpu) = marks
    rate, plain_rate = count / (end - middle), plain / (middle - start)
    rate_a_core = rate / cores()  # Tandem decodes on all of them
    return {
        "prepare_s": end - middle,
        "images_per_s": rate,
        "images_per_s_core": rate_a_core,
        "plain_images_per_s_core": plain_rate,
        "ratio_to_plain": rate_a_core / plain_rate,
        "busy_plain_images_per_s_core": busy_plain_rate,
        "ratio_to_busy_plain": rate_a_core / busy_plain_rate,
        "ratio_of_cpu_time": (middle_cpu - start_cpu) / plain / ((end_cpu - middle_cpu) / count),
    }


def prepared(faces: Faces, cache: Path) -> Inputs:
    """What a worker is given that trains from the faces themselves."""
    split = split_faces(faces.gender, faces.identity, 0)
    found = prepare_inputs(faces, split, made_up_weights(), [], Precision.FP32, CPU, cache, Counter)
    return found[0]


def training_row(inputs: Inputs, cache: Path) -> Row:
    """Epochs over made-up activations of the training faces, in a process like a worker's, and memory for them."""
    precision = best_precision(CPU, cache)
    made = pickle.dumps(made_up_inputs(inputs, cache / "activations.npy", precision))
    start = time.perf_counter()
    with Progress(lambda: f"training from {len(inputs.train.rows)} faces: {clock(time.perf_counter() - start)}"):
        row: Row = in_fresh_process(training, made, EPOCHS, str(precision), environment=WORKER_ENVIRONMENT)
    read = in_fresh_process(memory_of_reading, made, environment=WORKER_ENVIRONMENT)
    return {**row, "private_mb_for_activations": read["private_mb"]}
