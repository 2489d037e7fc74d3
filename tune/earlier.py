"""Earlier runs as a new search learns from them: their trials, and the settings of their winners."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from core.config import config_from_flat
from core.errors import UserError
from core.keeper import reaching
from core.names import MEAN_FACE, Architecture
from core.run_folder import RunFolder
from core.search_record import is_replication
from core.storage import Storage, run_at
from core.urls import is_url
from search_spaces.prior import Prior
from tune.ledger import Status
from tune.plan import Plan, plan_from_json
from tune.recorded_curves import read_curves

CONFIG = "config."


@dataclass(frozen=True)
class EarlierTrial:
    """A trial that ended with a result."""

    config: dict[str, Any]
    """All settings, defaults included."""
    curve: list[dict[str, Any]]
    """Metrics by epoch."""


@dataclass(frozen=True)
class EarlierRun:
    """What is read of a run. It may be under way: its trials that ended are there."""

    name: str
    plan: Plan
    record: Mapping[str, Any]
    """Its ``search.json``."""
    count: int
    """Its trials, whether or not they ended."""
    trials: list[EarlierTrial]


def read_run(word: str, storage: Storage) -> EarlierRun:
    """The trials of the run that ``word`` names: a name under ``storage``, a folder or a URL.

    Raises:
        UserError: no such run, or a file of it is damaged.
    """
    with _copy(word, storage, ("search.json", "trials.csv", "curves.csv")) as run:
        record = _of_one_search(run, word)
        plan = plan_from_json(record["plan"], str(run.search))
        if not run.trials.is_file() or not run.curves.is_file():
            raise UserError(f"{run.path}: no trials yet")
        curves: dict[int, dict[int, dict[str, Any]]] = {}
        for row in read_curves(run.curves):
            curves.setdefault(row["trial"], {})[row["epoch"]] = row  # an epoch seen again replaces the first
        rows = _rows(run.trials)
        fixed = plan.search_space().fixed
        trials = []
        for index, row in enumerate(rows):
            config = {**fixed, **_settings(row)}
            number, status = row.get("trial", ""), row.get("status", "")
            curve = curves.get(int(number), {}) if number.isdecimal() else {}
            if curve and status in (Status.STOPPED, Status.FINISHED):
                found = _config(config, f"{run.trials}, row {index + 1}")
                trials.append(EarlierTrial(found, [curve[epoch] for epoch in sorted(curve)]))
        return EarlierRun(word, plan, record, len(rows), trials)


def winners_prior(word: str, storage: Storage) -> tuple[Prior, Mapping[str, Any]]:
    """The settings of a run's best winner of each kind of model, and its ``search.json``; ``word`` as of
    :func:`read_run`.

    Raises:
        UserError: no such run, it has no winners, or a file of it is damaged.
    """
    with _copy(word, storage, ("search.json", "winners.csv")) as run:
        record = _of_one_search(run, word)
        if not run.winners.is_file():
            raise UserError(f"{run.path}: no winners yet; finish the search first: {run.again}")
        rows = [row for row in _rows(run.winners) if row.get("model") != MEAN_FACE]
        first = [row for row in rows if row.get("rank", "").removesuffix(".0") == "1"]
        configs = [_config(_settings(row), f"{run.winners}, model {row['model']}") for row in first]
        if not configs or any(not _settings(row) for row in first):
            raise UserError(f"{run.winners}: not the table of winners that a search writes")
        return {str(Architecture(config["architecture"])): config for config in configs}, record


def _of_one_search(run: RunFolder, word: str) -> dict[str, Any]:
    record = run.read_search()
    if is_replication(record):
        raise UserError(f"{run.path}: a replication of the paper; name one of its steps, as {word}/table3")
    return record


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a table that a search writes ({str(error).splitlines()[0][:200]})") from None
    return [{str(key): str(value) for key, value in row.items()} for row in table.to_dict("records")]


def _settings(row: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(CONFIG): text for key, text in row.items() if key.startswith(CONFIG) and text}


def _config(settings: Mapping[str, Any], place: str) -> dict[str, Any]:
    whole = {key: _whole(value) for key, value in settings.items()}
    try:
        return config_from_flat(whole).flat()
    except UserError as error:
        raise UserError(f"{place}: {error}") from None


def _whole(value: Any) -> Any:
    """A column that is empty elsewhere holds whole numbers as decimals."""
    return value.removesuffix(".0") if isinstance(value, str) else value


@contextmanager
def _copy(word: str, storage: Storage, names: tuple[str, ...]) -> Iterator[RunFolder]:
    """A run to read from: its own folder, or, of one under a URL, one with these files of it."""
    run = _named(word, storage)
    if run.mirror is None:
        yield run
        return
    url = run.mirror.url
    with tempfile.TemporaryDirectory() as folder:
        with reaching(url):
            found = {name: run.mirror.read(name) for name in names}
        for name, content in found.items():
            if content is not None:
                (Path(folder) / name).write_bytes(content)
        try:
            yield RunFolder(Path(folder), options=run.options)
        except UserError as error:
            raise UserError(str(error).replace(folder, url)) from None


def place_of(word: str, storage: Storage) -> Path:
    """Where a run is, however it is named; of one under a URL its working copy."""
    return _named(word, storage).path.resolve()


def _named(word: str, storage: Storage) -> RunFolder:
    if is_url(word):
        return run_at(word, storage.cache)[1]
    if storage.remote and "/" not in word:
        return storage.run(word)
    here = storage.folder / word
    if not storage.remote and here.is_dir():
        return storage.run(word)
    if "/" not in word and not Path(word).is_dir():
        raise UserError(f"{word}: no run of this name in {storage.folder}, and no such folder")
    return run_at(word, storage.cache)[1]
