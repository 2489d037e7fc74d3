"""Every reader of a file, fuzzed by hypothesis, with the benchmark's readers and, as its oracle, its rule of outcomes.

``python -m benchmarks.fuzz`` does the same with its own mutations and far more inputs.
"""

import json
import random
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_celeba import rows, write_celeba

from benchmarks import fuzz
from benchmarks.fuzz import CLEAR, OTHER, RESULT, outcome
from benchmarks.fuzz_folder import IMAGES, damage, read_folder, write_folder
from benchmarks.fuzz_reader import Reader
from benchmarks.fuzz_readers import readers
from benchmarks.fuzz_run import small_run
from benchmarks.mutations import changed_archive, changed_bytes, changed_json
from core.celeba import read_celeba
from core.config import KEYS, config_from_flat
from core.errors import UserError
from core.faces import load_drawn_faces

FAST = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
NAMES = (
    *("annotations, official", "annotations, Kaggle", "identities", "space", "search.json", "search.json, paper"),
    *("optuna.journal", "curves.csv", "head_start.json", "split.csv", "winners", "predictions.npz", "measured.json"),
    *("opened.json", "importance.csv", "front", "record of a retraining", "weights, .pth"),
    *("weights of a winner", "checkpoint", "cache of faces"),
)
NEVER_WHOLE = {"weights, .pth"}  # two of VGG-16's 26 tensors, all else would be large
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(KEYS)
JSON = st.recursive(
    SCALARS, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=8), part, max_size=3)
)


@pytest.fixture(scope="module")
def by_name(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    return {reader.name: reader for reader in readers(small_run(tmp_path_factory.mktemp("fuzz")))}


def place_of(reader: Reader) -> str:
    """What a clear error of this reader must name."""
    return next(iter(reader.files)).parent.name if reader.names_file else ""


def put(reader: Reader, path: Path, content: bytes) -> None:
    for other, whole in reader.files.items():
        other.write_bytes(content if other == path else whole)


def test_every_reader_of_the_benchmark_is_fuzzed_here(by_name: dict[str, Reader]) -> None:
    assert set(by_name) == {*NAMES, "settings"}


@pytest.mark.parametrize("name", sorted(set(NAMES) - NEVER_WHOLE))
def test_a_whole_file_gives_a_result(by_name: dict[str, Reader], name: str) -> None:
    reader = by_name[name]
    for path, content in reader.files.items():
        put(reader, path, content)
    assert outcome(reader.read, "") == (RESULT, "")


@pytest.mark.parametrize("name", NAMES)
def test_any_bytes_give_a_result_or_one_clear_line(by_name: dict[str, Reader], name: str) -> None:
    reader = by_name[name]

    @FAST
    @given(st.sampled_from(sorted(reader.files)), st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
    def check(path: Path, content: bytes) -> None:
        put(reader, path, content)
        assert outcome(reader.read, place_of(reader))[0] != OTHER

    check()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_with_a_part_cut_out_or_put_in_gives_a_result_or_one_clear_line(
    by_name: dict[str, Reader], name: str
) -> None:
    reader = by_name[name]

    @FAST
    @given(st.data())
    def check(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(reader.files)))
        whole = reader.files[path]
        start = data.draw(st.integers(0, len(whole)))
        end = min(len(whole), start + data.draw(st.integers(0, 30)))
        put(reader, path, whole[:start] + data.draw(st.binary(max_size=12)) + whole[end:])
        kind, text = outcome(reader.read, place_of(reader))
        assert kind != OTHER, text

    check()


@pytest.mark.parametrize(
    "name", ["space", "search.json", "search.json, paper", "measured.json", "opened.json", "record of a retraining"]
)
def test_any_json_gives_a_result_or_one_clear_line(by_name: dict[str, Reader], name: str) -> None:
    reader = by_name[name]
    (path,) = reader.files

    @FAST
    @given(JSON, st.data())
    def check(value: object, data: st.DataObject) -> None:
        whole = json.loads(reader.files[path])
        if isinstance(whole, dict):  # at a key of the file's, or of what is in its plan or at its first key
            inner = whole.get("plan", whole)
            inner[data.draw(st.sampled_from(sorted(inner)))] = value
            value = whole
        put(reader, path, json.dumps(value).encode())
        kind, text = outcome(reader.read, place_of(reader))
        assert kind != OTHER, text

    check()


@FAST
@given(
    JSON
    | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), JSON | st.just(10**5000) | st.binary(), max_size=4)
)
def test_any_settings_give_a_config_or_one_clear_line(values: object) -> None:
    kind, text = outcome(lambda: config_from_flat(values), "")  # type: ignore[arg-type]  # anything is the point
    assert kind != OTHER, text
    if kind == RESULT:
        assert config_from_flat(config_from_flat(values).flat()) == config_from_flat(values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def celeba(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("celeba")
    write_folder(load_drawn_faces(IMAGES, 0, place / "cache"), place / "whole")
    return place


def test_damaged_folders_give_a_result_or_one_clear_line(celeba: Path) -> None:
    row = fuzz.fuzz_folders(celeba / "fuzz", range(60), 5)
    assert row[OTHER] == 0
    assert row[RESULT] + row[CLEAR] == 60
    assert row[RESULT] > 0


def test_a_result_of_the_folders_reader_is_a_folder_that_is_read_again(celeba: Path) -> None:
    assert read_folder(celeba / "whole", celeba / "read") == IMAGES
    assert len(read_celeba(celeba / "read" / "mini").file) == 20


def test_a_number_and_a_seed_repeat_a_damaged_folder(tmp_path: Path) -> None:
    contents = []
    for side in "ab":
        folder = write_celeba(tmp_path / side, rows())
        damage(folder, random.Random("3 x 7"))
        found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        contents.append([(path.relative_to(folder), path.read_bytes()) for path in found])
    assert contents[0] == contents[1]


@pytest.mark.parametrize("change", [changed_bytes, changed_json, changed_archive])
def test_changes_follow_from_the_seed_and_most_of_them_change_something(change, by_name: dict[str, Reader]) -> None:
    content = next(iter(by_name["predictions.npz" if change is changed_archive else "space"].files.values()))
    made = [change(content, random.Random(seed)) for seed in range(50)]
    assert sum(one != content for one in made) > 40
    if change is not changed_archive:  # an archive holds the time
        assert made == [change(content, random.Random(seed)) for seed in range(50)]


def raising(error: Exception):
    def read() -> None:
        raise error

    return read


def warning() -> None:
    warnings.warn("old", UserWarning, stacklevel=1)


def sleeping() -> None:
    try:
        time.sleep(5)
    except Exception:  # what a reader might do
        return


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (lambda: 3, RESULT),
        (raising(UserError("a/b: must be c")), CLEAR),
        (raising(UserError("must be c")), OTHER),
        (raising(UserError("")), OTHER),
        (raising(ValueError("a/b: must be c")), OTHER),
        (raising(OSError("a/b")), OTHER),
        (warning, OTHER),
        (sleeping, OTHER),
    ],
)
def test_only_a_result_or_one_line_that_names_the_file_counts(read, kind: str) -> None:
    assert outcome(read, "a/b", seconds=0.2)[0] == kind


def test_the_benchmark_fails_if_a_reader_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(fuzz, "RESULTS", tmp_path / "fuzz.csv")
    monkeypatch.setattr(fuzz, "readers", lambda _: [Reader("bad", {tmp_path / "a": b"1"}, raising(KeyError("x")))])
    monkeypatch.setattr("sys.argv", ["fuzz", "--mutations", "1", "--inputs", "2", "--seed", "4"])
    with pytest.raises(SystemExit, match="1"):
        fuzz.main()
    assert "bad, seed 4, input 1: \"KeyError: 'x'\"" in capsys.readouterr().out
    lines = (tmp_path / "fuzz.csv").read_text().splitlines()
    assert len(lines) == 3
    assert ",bad,4,2,0,0,2," in lines[2]
