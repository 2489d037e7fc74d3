"""docs/files.md explains what is written, and how to use an exported model."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.celeba import read_celeba
from core.crop import photo_landmarks
from core.importance_table import COLUMNS
from core.names import AREA99, METRICS
from core.onnx_file import ABOUT
from core.photo import photo_table
from tune.front import FRONT_CHANCE
from tune.recorded_curves import CURVE_COLUMNS
from tune.winners import CHANCE, IN_RACE

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
RESULTS = ROOT / "benchmarks" / "results"
OF_THE_BENCHMARK = {"source", "epoch"}  # of winner_on_folds.csv
WORDS = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", PAGE))))  # what stands there as code


def named(column: str) -> bool:
    """Whether the page names a column, or the metric or setting that it is made of."""
    plain = re.sub(r"_(lo|hi|sd|min|max|inside)$", "", re.sub(r"^(val|test|paper)_", "", column))
    return column in WORDS or plain in WORDS or column.startswith("config.")


@pytest.mark.parametrize("column", [*METRICS, AREA99, *COLUMNS, *CURVE_COLUMNS, CHANCE, IN_RACE, FRONT_CHANCE])
def test_every_metric_and_column_is_explained(column: str) -> None:
    assert named(column)


@pytest.mark.parametrize(
    "file", sorted(RESULTS.glob("joint_two_hours/*.csv")) + sorted(RESULTS.glob("paper_fast/*.csv"))
)
def test_every_column_of_searches_and_replications_that_were_run_is_explained(file: Path) -> None:
    columns = set(pd.read_csv(file).columns) - OF_THE_BENCHMARK
    assert [column for column in sorted(columns) if not named(column)] == []


def test_the_columns_of_a_table_of_photos_are_explained_from_the_first_landmark_to_the_last() -> None:
    columns = list(photo_table([]).columns)
    assert all(named(column) for column in (*columns[:4], columns[-1]))


@pytest.mark.parametrize("size", [(178, 218), (218, 178), (313, 256), (3024, 4032), (224, 224), (1000, 257)])
def test_the_way_back_to_the_photo_is_the_one_that_page_and_file_tell(size: tuple[int, int]) -> None:
    """Step by step as they say it; ``round`` takes a half to the even number, as they ask for."""
    w, h = size
    s = min(w, h)
    whole_w, whole_h = math.floor(256 * w / s), math.floor(256 * h / s)
    left, top = round((whole_w - 224) / 2), round((whole_h - 224) / 2)
    points = np.random.default_rng(0).uniform(0, 223, (5, 2)).astype(np.float32)
    expected = np.stack(
        [(points[:, 0] + left + 0.5) * w / whole_w - 0.5, (points[:, 1] + top + 0.5) * h / whole_h - 0.5], axis=1
    )
    np.testing.assert_allclose(photo_landmarks(points, size), expected, rtol=1e-5, atol=1e-3)
    for formula in ("round((W - 224) / 2)", "((x + X + 0.5) w / W - 0.5, (y + Y + 0.5) h / H - 0.5)"):
        assert formula in PAGE
        assert formula in ABOUT["back_to_photo"]


def test_faces_of_ones_own_as_the_page_has_them_can_be_read(tmp_path: Path) -> None:
    example = PAGE.split("## Faces of your own")[1].split("```")[1].strip("\n").splitlines()
    for head, row in zip(example[::2], example[1::2], strict=True):
        name, columns = head.split()
        (tmp_path / name).write_text(f"{columns}\n{row.strip()}\n")
    (tmp_path / "img_align_celeba").mkdir()
    (tmp_path / "img_align_celeba" / "anna.jpg").write_bytes(b"")  # decoded later
    found = read_celeba(tmp_path)
    assert (found.file.tolist(), found.gender.tolist(), found.identity.tolist()) == (["anna.jpg"], [0], [17])
    assert found.landmarks.tolist() == [[[69, 109], [106, 113], [77, 142], [73, 152], [108, 154]]]
    assert found.identity_known
