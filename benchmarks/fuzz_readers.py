"""The readers that are fuzzed, and those of annotations, settings, spaces, plans and trials among them."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.fuzz_reader import Reader
from benchmarks.fuzz_run import Material
from benchmarks.fuzz_run_readers import run_readers
from benchmarks.mutations import VALUES, changed_json, odd_value
from core.annotations import read_table
from core.celeba import LANDMARK_COLUMNS
from core.config import KEYS, Config, config_from_flat
from core.objective import Objective
from core.patience import HASTE
from core.run_folder import RunFolder
from search_spaces.catalogue import SPACES, find_space
from search_spaces.parameter import ends_of
from tune.head_start import Earlier, HeadStart, read_head_start
from tune.paper_plan import PaperPlan, paper_plan_from_json
from tune.plan import Plan, grid_options, plan_from_json
from tune.profile import Profile, settled_space
from tune.search import restored_ledger
from tune.study import Sampler, Study


class SettingsReader(Reader):
    """Settings that come from no file."""

    def write_changed(self, chance: random.Random) -> None:
        """Leave the next settings where ``read`` finds them: they come from no file."""
        settings: dict[Any, Any] = Config().flat()
        for _ in range(chance.randint(1, 3)):
            key = chance.choice([*KEYS, "", "a", 3, None, "é" * 5000])
            settings[key] = chance.choice(
                [1, "0.001", odd_value(chance), 10**5000, b"a", object(), complex(1), float("nan")]
            )
        SETTINGS[0] = settings if chance.random() < 0.95 else chance.choice(VALUES)


SETTINGS: list[Any] = [{}]


def readers(material: Material) -> list[Reader]:
    """All of them."""
    folder = material.folder
    return [
        *_table_readers(folder),
        SettingsReader("settings", {}, lambda: config_from_flat(SETTINGS[0]), names_file=False),
        _space_reader(folder),
        *_plan_readers(folder),
        *_trial_readers(folder),
        *run_readers(material),
    ]


def _table_readers(folder: Path) -> list[Reader]:
    names = [f"{row:06}.jpg" for row in range(1, 9)]
    numbers = [[str(row * 10 + column) for column in range(10)] for row in range(8)]
    spaced = "\n".join(
        ["8", " ".join(LANDMARK_COLUMNS), *(f"{n} {' '.join(v)}" for n, v in zip(names, numbers, strict=True))]
    )
    commas = "\n".join(
        [f"image_id,{','.join(LANDMARK_COLUMNS)}", *(f"{n},{','.join(v)}" for n, v in zip(names, numbers, strict=True))]
    )
    people = "\n".join(f"{name} {row}" for row, name in enumerate(names))

    def reader(name: str, file: str, text: str, columns: tuple[str, ...], header: bool) -> Reader:
        path = folder / file
        return Reader(name, {path: f"{text}\n".encode()}, lambda: read_table(path, columns, header=header))

    return [
        reader("annotations, official", "landmarks.txt", spaced, LANDMARK_COLUMNS, True),
        reader("annotations, Kaggle", "landmarks.csv", commas, LANDMARK_COLUMNS, True),
        reader("identities", "identity.txt", people, ("identity",), False),
    ]


def _space_reader(folder: Path) -> Reader:
    path = folder / "space.json"
    content = json.dumps(SPACES["joint"].to_json()).encode()

    def plan() -> object:
        space = settled_space(find_space(str(path)), Profile.FAST, {})
        options = grid_options(space, {}) if space.cells else {}
        return [_used(Plan(space=space.to_json(), profile=Profile.FAST, **options)), space.describe()]

    # What is wrong with a search in the space is said in terms of its options, not of the file.
    return Reader("space", {path: content}, plan, changed_json, names_file=False)


def _used(plan: Plan) -> object:
    """What a search first does with its plan: which activations it needs, and the settings of a trial."""
    space = plan.search_space()
    drawn = space.draw(lambda _, parameter: ends_of(parameter)[0])
    return plan.frozen_blocks(), config_from_flat({**space.fixed, **drawn})


def _plan_readers(folder: Path) -> list[Reader]:
    run = RunFolder(folder)
    record = {
        "plan": Plan(SPACES["joint"].to_json(), Profile.FAST, sampler=Sampler.TPE).to_json(),
        "workers": {"count": 1, "threads": 2, "gpus": 0.0},
        "precision": "fp32",
        "data_fingerprint": "d",
        "split_fingerprint": "s",
        "weights": "w",
        "weights_sha256": "w",
        "baseline_validation": {"nme_pct": 45.0},
    }
    paper = {**record, "plan": PaperPlan(Profile.FAST).to_json()}
    return [
        Reader(
            "search.json",
            {run.search: json.dumps(record).encode()},
            lambda: _used(plan_from_json(run.read_search()["plan"], str(run.search))),
            changed=changed_json,
        ),
        Reader(
            "search.json, paper",
            {run.search: json.dumps(paper).encode()},
            lambda: paper_plan_from_json(run.read_search()["plan"], str(run.search)),
            changed=changed_json,
        ),
    ]


def _trial_readers(folder: Path) -> list[Reader]:
    run, objective = RunFolder(folder), Objective("relative_error")
    space = SPACES["joint"]

    def restore() -> object:
        ledger = restored_ledger(run, Study(run.journal, space, Sampler.RANDOM, 0), objective, HASTE)
        ledger.write(now=True)
        return ledger.ranked()

    study = Study(run.journal, space, Sampler.RANDOM, 0)
    ledger = restored_ledger(run, study, objective, HASTE)
    for status, cost in (("finished", 0.5), ("stopped", 0.7), ("failed", None), ("", None)):
        number, parameters = study.ask()
        ledger.add(number, parameters)
        for epoch in (1, 2):
            ledger.record(number, {"epoch": epoch, "relative_error": 0.5, "seconds_per_epoch": 0.1})
        if status:
            study.tell(number, status, cost, 2, "its reason" if cost is None else "")
    known = {key: value for key, value in study.known()[0].items() if key != "architecture"}
    earlier = Earlier(study.known()[1], [0.5], "stopped")
    HeadStart([study.known()[0]], [earlier], {"gender": known}).write(run.head_start)
    files = {run.journal: run.journal.read_bytes(), run.curves: run.curves.read_bytes()}
    return [
        Reader("optuna.journal", {run.journal: files[run.journal]}, _with(run.curves, files, restore)),
        Reader("curves.csv", {run.curves: files[run.curves]}, _with(run.journal, files, restore)),
        Reader(
            "head_start.json",
            {run.head_start: run.head_start.read_bytes()},
            lambda: read_head_start(run.head_start, space),
            changed=changed_json,
        ),
    ]


def _with(path: Path, files: dict[Path, bytes], read: Callable[[], object]) -> Callable[[], object]:
    """``read`` with another file beside it as it should be."""

    def both() -> object:
        path.write_bytes(files[path])
        return read()

    return both
