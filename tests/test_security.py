"""What a file that somebody else made must not be able to do: run code, lead out of its folder, fill the memory."""

import ast
import io
import os
import pickle
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from finished_run import made_predictions, made_winner
from PIL import Image
from test_paper_report import CONCLUSIONS, FACTS
from test_replication import BASELINE, runs_like_the_papers
from test_report import FACES, GENDER, SEARCH, TRUTH
from test_structure import FILES, ROOT
from tiny_celeba import SIZE, replace, rows, write_celeba

from benchmarks.fuzz_folder import bomb
from core import final_test
from core.celeba import read_celeba
from core.conclusions import Conclusion
from core.crop import MOST_PIXELS, read_face
from core.errors import UserError
from core.faces import load_celeba_faces
from core.kept_predictions import read_predictions
from core.mini import build_mini
from core.paper_report import write_paper_report
from core.replication import CHOICES, replicated_table
from core.report import write_report
from core.tensor_files import load_tensors
from core.weights import weights_from_file
from search_spaces.catalogue import SPACES
from tune.study import Sampler, Study

OUTSIDE = [
    "../secret.jpg",
    "..\\secret.jpg",
    "img_align_celeba/../../secret.jpg",
    "..",
    ".",
    "a\x00b.jpg",
    "C:\\secret.jpg",
]


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    """A folder with a secret image beside it."""
    Image.new("RGB", SIZE).save(tmp_path / "secret.jpg")
    return write_celeba(tmp_path / "celeba", rows())


def refused(celeba: Path, rule: str) -> None:
    """A search and ``prepare_celeba`` refuse the folder in the same words, and write nothing."""
    scratch = celeba.parent / "scratch"
    for use in (
        lambda: load_celeba_faces(celeba, scratch / "cache"),
        lambda: build_mini(celeba, scratch / "mini", 20),
    ):
        with pytest.raises(UserError, match=rule):
            use()
    assert not (scratch / "mini").exists()
    assert [path for path in (scratch / "cache").glob("**/*") if path.suffix != ".lock"] == []


@pytest.mark.parametrize("name", [*OUTSIDE, "/absolute"])
@pytest.mark.parametrize("table", ["list_attr_celeba", "list_landmarks_align_celeba", "identity_CelebA"])
def test_a_name_in_the_annotations_cannot_leave_the_image_folder(celeba: Path, name: str, table: str) -> None:
    for path in celeba.glob("*.txt"):
        replace(path, "000001.jpg", name.replace("/absolute", str(celeba.parent / "secret.jpg")))
    for path in celeba.glob("*.txt"):
        if path.stem != table:
            replace(path, name.replace("/absolute", str(celeba.parent / "secret.jpg")), "000001.jpg")
    refused(celeba, rf"{table}\.txt, line \d+: must begin with a plain file name that stays in the image folder")


@pytest.mark.parametrize("target", ["../../secret.jpg", "/etc/passwd", "..", "000001.jpg"])
def test_a_link_out_of_the_image_folder_or_to_itself_is_refused(celeba: Path, target: str) -> None:
    image = celeba / "img_align_celeba" / "000001.jpg"
    image.unlink()
    image.symlink_to(target)
    loop = target == image.name
    refused(
        celeba, "cannot be read|the image must be in" if loop else r"000001\.jpg: a link in the image folder must stay"
    )


def test_a_link_within_the_image_folder_and_a_linked_data_folder_are_read(celeba: Path, tmp_path: Path) -> None:
    image = celeba / "img_align_celeba" / "000001.jpg"
    image.rename(image.with_name("real.jpg"))
    image.symlink_to("real.jpg")
    (tmp_path / "linked").symlink_to(celeba)
    assert len(read_celeba(tmp_path / "linked").file) == 24
    assert len(load_celeba_faces(tmp_path / "linked", tmp_path / "cache")) == 24


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [7_500, 10_000, 12_000, 100_000])  # Pillow takes, takes, warns of, refuses these
def test_an_image_that_claims_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    (tmp_path / "a.jpg").write_bytes(bomb(side, side))
    with pytest.raises(UserError, match=rf"a\.jpg: must have at most {MOST_PIXELS} pixels, it has") as error:
        read_face(tmp_path / "a.jpg")
    assert "DecompressionBomb" not in str(error.value)


@pytest.mark.parametrize(("side", "size"), [(100_000, "far more"), (10_000, r"far more|10000 x 10000")])
def test_a_user_sees_one_line_about_a_decompression_bomb(celeba: Path, tmp_path: Path, side: int, size: str) -> None:
    for image in (celeba / "img_align_celeba").iterdir():
        image.write_bytes(bomb(side, side))
    command = [
        sys.executable,
        ROOT / "scripts/prepare_celeba.py",
        "--celeba",
        celeba,
        "--out",
        tmp_path / "out",
        "--people",
        "20",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: .*/\d+\.jpg: must have at most {MOST_PIXELS} pixels, it has ({size})\n", done.stderr)
    assert not (tmp_path / "out").exists()


SCRIPT = "<script>alert('1')</script><img src=x onerror=\"a\">&"


class Elements(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def assert_harmless(page: str, text: str, shown: int) -> None:
    """No script in the page, and so many places in which ``text`` is shown as it is."""
    found = Elements(page)
    assert "script" not in found.tags
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert all(value.startswith("data:image/png;base64,") for name, value in found.attributes if name == "src")
    assert " ".join("".join(found.texts).split()).count(text) == shown


def test_the_report_of_a_test_shows_markup_from_files_as_text(tmp_path: Path) -> None:
    winner = made_winner(SCRIPT)
    winner.row.update({"model": SCRIPT})
    baseline = {"nme_pct": (40.0, 39.0, 41.0)}
    result = final_test.TestResult(TRUTH, np.zeros((500, 1)), np.arange(FACES), [SCRIPT] * FACES, baseline)
    runs = [made_predictions(TRUTH.landmarks, GENDER, 6.4)]
    result.tested.append(final_test.Tested(winner, runs, {"nme_pct": (9.0, 8.0, 10.0)}, {}, 2.5, gain=(1.0, 0.5, 2.0)))
    (tmp_path / "a.png").write_bytes(b"abc")
    inside = SCRIPT.replace("/", "\\")  # a name of a file or folder has no slash
    search = {
        **SEARCH,
        "plan": {"data": f"x/{inside}"},
        "weights": f"x/{inside}",
        "tested": SCRIPT,
        "test_device": SCRIPT,
    }
    path = Path("storage") / inside / "test" / "report.html"
    page = write_report(path, result, search, [SCRIPT], {SCRIPT: [SCRIPT]}, {tmp_path / "a.png": SCRIPT})
    # Tested, before, run and date elsewhere, gain, caption, device; the label in 2 + 2 tables of scores and 1 of settings
    assert_harmless(page, SCRIPT, 12)
    assert_harmless(page, inside, 4)  # the run's name twice, the data folder, the weights file


def test_the_report_of_the_paper_shows_markup_from_files_as_text() -> None:
    facts = {name: SCRIPT if isinstance(value, str) else value for name, value in FACTS.items()}
    facts |= {"differs": [SCRIPT], "failures": [SCRIPT], "openings": [SCRIPT, "b"], "others": {SCRIPT: [SCRIPT]}}
    conclusions = [Conclusion(SCRIPT, SCRIPT, SCRIPT, 3, 3, (0.25, 0.1, 0.4), 0.1, "supported"), *CONCLUSIONS[1:]]
    tables = {n: replicated_table(n, runs_like_the_papers(n, 0.5), BASELINE) for n in CHOICES}
    page = write_paper_report(facts, tables, {}, conclusions, {})
    texts = sum(isinstance(value, str) for value in FACTS.values())
    # The name stands in the title too, the device in the last paragraph; then what is set above, and three of the conclusion.
    assert_harmless(page, SCRIPT, texts + 2 + 5 + 3)


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_nothing_that_is_read_back_runs_code(tmp_path: Path) -> None:
    marker, evil = tmp_path / "marker", Evil(tmp_path / "marker")
    pickle.loads(pickle.dumps(evil))
    assert marker.exists()  # the trap works
    marker.unlink()
    np.savez(tmp_path / "predictions.npz", gender_logits=np.array([evil, evil], dtype=object))
    torch.save({"features.0.bias": evil}, tmp_path / "new.pth")
    torch.save({"features.0.bias": evil}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(evil))
    (tmp_path / "optuna.journal").write_bytes(pickle.dumps(evil) + b"\n")
    for read in (
        lambda: read_predictions(tmp_path, 2),
        *(lambda name=name: weights_from_file(tmp_path / f"{name}.pth") for name in ("new", "old", "plain")),
        lambda: Study(tmp_path / "optuna.journal", SPACES["gender"], Sampler.RANDOM, 0),
    ):
        with pytest.raises(UserError):
            read()
        assert not marker.exists()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("old", [False, True])
def test_a_long_name_in_a_weights_file_does_not_hang_the_reader(tmp_path: Path, old: bool) -> None:
    path = tmp_path / "w.pth"
    torch.save({"features.0.bias": torch.zeros(2), "a" * 300_000: 3}, path, _use_new_zipfile_serialization=not old)
    with pytest.raises(ValueError, match="a text of 300000 characters"):
        load_tensors(path)
    with pytest.raises(UserError, match=r"w\.pth: not a readable weights file"):
        weights_from_file(path)


def test_plain_tensors_come_back_from_both_formats(tmp_path: Path) -> None:
    saved = {f"features.{i}.weight": torch.full((3,), float(i)) for i in range(40)}
    for old in (False, True):
        torch.save(saved, tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
        found = load_tensors(tmp_path / "w.pth")
        assert found.keys() == saved.keys()
        assert all(torch.equal(found[name], saved[name]) for name in saved)


FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "input"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads", "dill.load"),
    *("joblib.load", "shelve.open", "marshal.load", "marshal.loads", "pd.read_pickle", "pandas.read_pickle"),
    *(
        "yaml.load",
        "yaml.unsafe_load",
        "yaml.full_load",
        "Markup",
        "markupsafe.Markup",
        "torch.jit.load",
        "torch.hub.load",
    ),
}
MUST_BE = {
    "torch.load": ("weights_only", True),
    "get_state_dict": ("weights_only", True),
    "Environment": ("autoescape", True),
}
MAY_NOT_BE = {
    "np.load": ("allow_pickle", False),
    "subprocess.run": ("shell", False),
    "subprocess.Popen": ("shell", False),
}
JUSTIFIED = {
    # Made by the benchmark's own parent process and passed to it in memory, as Ray passes labels to its workers.
    ("benchmarks/scale_training.py", "pickle.loads"),
}


def dangerous(source: str) -> list[str]:
    """Calls in a module that could run code from what they read."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in (
            "pickle",
            "marshal",
            "joblib",
            "dill",
            "cloudpickle",
            "shelve",
        ):
            found += [f"{node.module}.{alias.name}" for alias in node.names if not alias.name.endswith("Error")]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {word.arg: getattr(word.value, "value", ...) for word in node.keywords}
        last = name.rpartition(".")[2]
        key, value = MUST_BE.get(name) or MUST_BE.get(last) or ("", None)
        only, allowed = MAY_NOT_BE.get(name, ("", None))
        if (
            name in FORBIDDEN
            or (key and given.get(key) is not value)
            or (only and given.get(only, allowed) is not allowed)
        ):
            found.append(name)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_calls_what_could_run_code_from_a_file(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    unjustified = [name for name in dangerous(path.read_text(encoding="utf-8")) if (place, name) not in JUSTIFIED]
    assert unjustified == []


@pytest.mark.parametrize(
    "source",
    [
        "eval(x)",
        "exec(x)",
        "pickle.loads(x)",
        "from pickle import loads",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "torch.load(x, weights_only=y)",
        "np.load(x, allow_pickle=True)",
        "np.load(x, allow_pickle=y)",
        "pd.read_pickle(x)",
        "yaml.load(x)",
        "joblib.load(x)",
        "subprocess.run(x, shell=True)",
        "jinja2.Environment(loader=x)",
        "jinja2.Environment(autoescape=False)",
    ],
)
def test_the_search_for_dangerous_calls_finds_them(source: str) -> None:
    assert dangerous(source)


@pytest.mark.parametrize(
    "source", ["model.eval()", "np.load(x)", "torch.load(x, weights_only=True)", "subprocess.run([x])"]
)
def test_the_search_for_dangerous_calls_leaves_harmless_ones_alone(source: str) -> None:
    assert not dangerous(source)


def test_no_template_turns_escaping_off() -> None:
    templates = sorted((ROOT / "core").glob("*.html"))
    assert len(templates) == 3
    for path in templates:
        assert not re.search(r"\|\s*safe|autoescape|<script|javascript:", path.read_text(encoding="utf-8"))


def test_a_message_shows_control_characters_of_a_file_instead_of_sending_them_to_the_terminal() -> None:
    assert str(UserError("a\x1b[2J\nb\u2028é")) == "a\\x1b[2J\\nb\\u2028é"
    assert len(str(UserError("a" * 10**6))) < 1100


def test_a_pickle_hidden_in_an_array_of_the_cache_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, np.array([Evil(tmp_path / "marker")], dtype=object))
    faces = load_celeba_faces(write_celeba(tmp_path / "celeba", rows()), tmp_path / "cache")
    (faces.images_path.parent / "file.npy").write_bytes(file.getvalue())
    with pytest.raises(UserError, match="must be a whole cache of faces; delete it"):
        load_celeba_faces(tmp_path / "celeba", tmp_path / "cache")
    assert not (tmp_path / "marker").exists()
