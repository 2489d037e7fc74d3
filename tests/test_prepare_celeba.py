"""The script as a person runs it, most of all on bad input: exit code 2, one line, nothing left behind."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from doors import SCRIPTS, exit_code
from PIL import Image
from tiny_celeba import replace, replace_line, rows, write_celeba

from scripts.prepare_celeba import Show

ROOT = Path(__file__).parents[1]
ATTRIBUTES, LANDMARKS, IDENTITY = "list_attr_celeba.txt", "list_landmarks_align_celeba.txt", "identity_CelebA.txt"
FIRST, THIRD = "000001.jpg", "000003.jpg"  # images on line 3 and 5 of the files with count and header
GOOD = " ".join(["-1"] * 40)
POINTS = "10 1 30 1 5 5 5 9 9 9"

Damage = Callable[[Path], object]


def image(folder: Path, file: str = THIRD) -> Path:
    return folder / "img_align_celeba" / file


def cut_short(path: Path) -> None:
    Image.effect_noise((60, 80), 90).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:2000])


def link_out(path: Path) -> None:
    path.rename(path.parents[1] / "outside.jpg")
    path.symlink_to("../outside.jpg")


def line(file: str, number: int, text: str) -> Damage:
    return lambda folder: replace_line(folder / file, number, text)


def content(file: str, data: bytes) -> Damage:
    return lambda folder: (folder / file).write_bytes(data)


BAD_INPUT: dict[str, tuple[Damage, str]] = {
    # what is wrong: how to make it so, and what the message must say
    "no attributes": (lambda f: (f / ATTRIBUTES).unlink(), r"must hold list_attr_celeba\.txt or list_attr_celeba\.csv"),
    "no landmarks": (lambda f: (f / LANDMARKS).unlink(), r"must hold list_landmarks_align_celeba\.txt or"),
    "no identities": (lambda f: (f / IDENTITY).unlink(), r"must hold identity_CelebA\.txt"),
    "no images": (lambda f: (f / "img_align_celeba").rename(f / "img"), r"must hold a folder img_align_celeba"),
    "image missing": (lambda f: image(f).unlink(), rf"{ATTRIBUTES}, line 5 \({THIRD}\): the image must be in"),
    "39 attributes": (line(ATTRIBUTES, 5, f"{THIRD} {GOOD[3:]}"), rf"line 5 \({THIRD}\): must hold 40 values, got 39"),
    "41 attributes": (line(ATTRIBUTES, 5, f"{THIRD} 1 {GOOD}"), rf"line 5 \({THIRD}\): must hold 40 values, got 41"),
    "9 coordinates": (line(LANDMARKS, 3, f"{FIRST} {POINTS[3:]}"), rf"{LANDMARKS}, line 3 .*hold 10 values, got 9"),
    "2 identities": (line(IDENTITY, 1, f"{FIRST} 4 5"), rf"{IDENTITY}, line 1 \({FIRST}\): must hold 1 value, got 2"),
    "attribute 0": (line(ATTRIBUTES, 5, f"{THIRD} 0 {GOOD[3:]}"), r"line 5 .*: Attribute_0 must be -1 or 1, got 0"),
    "Male 2": (lambda f: male(f, "2"), r"line 5 .*: Male must be -1 or 1, got 2"),
    "attribute no number": (lambda f: male(f, "yes"), r"line 5 \(000003\.jpg\): must hold numbers, got 'yes'"),
    "coordinate no number": (line(LANDMARKS, 3, f"{FIRST} x{POINTS}"), r"line 3 .*: must hold numbers, got 'x10'"),
    "coordinate nan": (line(LANDMARKS, 3, f"{FIRST} nan{POINTS[2:]}"), r"line 3 .*lefteye_x must be a finite number"),
    "coordinate too large": (line(LANDMARKS, 3, f"{FIRST} 1e999{POINTS[2:]}"), r"lefteye_x must be a finite .* inf"),
    "identity no number": (line(IDENTITY, 3, f"{THIRD} Ann"), rf"{IDENTITY}, line 3 .*must hold numbers, got 'Ann'"),
    "identity 1.5": (line(IDENTITY, 3, f"{THIRD} 1.5"), r"line 3 .*an identity must be a whole number, got 1.5"),
    "eyes at one point": (line(LANDMARKS, 3, f"{FIRST} 9 9 9 9 1 1 1 1 1 1"), r"the eyes must be two points, .*\(9, 9"),
    "attributes twice": (line(ATTRIBUTES, 5, f"{FIRST} {GOOD}"), rf"line 5 \({FIRST}\): .* once, .* line 3 too"),
    "landmarks twice": (line(LANDMARKS, 5, f"{FIRST} {POINTS}"), rf"{LANDMARKS}, line 5 .* once, .* line 3 too"),
    "identity twice": (line(IDENTITY, 3, f"{FIRST} 3"), rf"{IDENTITY}, line 3 .* once, .* on line 1 too"),
    "not in landmarks": (line(LANDMARKS, 5, f"x.jpg {POINTS}"), rf"line 5 \({THIRD}\): .* listed in .*{LANDMARKS} too"),
    "not in identities": (line(IDENTITY, 3, "x.jpg 3"), rf"{ATTRIBUTES}, line 5 .* must be listed in .*{IDENTITY} too"),
    "count too small": (line(ATTRIBUTES, 1, "23"), r"line 1: the count must be the number of rows, 24, got '23'"),
    "rows cut off": (line(LANDMARKS, 26, ""), r"line 1: the count must be the number of rows, 23, got '24'"),
    "blank line": (line(ATTRIBUTES, 5, ""), r"line 5: must begin with a plain file name"),
    "no header": (line(LANDMARKS, 2, ""), r"line 2: the header must name a column lefteye_x once, got 0 times"),
    "no Male": (lambda f: replace(f / ATTRIBUTES, "Male", "Man"), r"line 2: the header must name a column Male once"),
    "Male twice": (lambda f: replace(f / ATTRIBUTES, "Attribute_9", "Male"), r"a column Male once, got 2 times"),
    "empty": (content(ATTRIBUTES, b""), rf"{ATTRIBUTES}: must hold at least one row, got an empty file"),
    "blank": (content(IDENTITY, b" \n\n"), rf"{IDENTITY}: must hold at least one row"),
    "only a count": (content(ATTRIBUTES, b"0\n"), rf"{ATTRIBUTES}, line 2: the header must name"),
    "no rows": (content(ATTRIBUTES, b"0\nMale\n"), rf"{ATTRIBUTES}: must hold at least one row, got none"),
    "not UTF-8": (content(IDENTITY, b"a.jpg 1\n\xff.jpg 2\n"), rf"{IDENTITY}, line 2: must be UTF-8 .* 0xff"),
    "an image as table": (lambda f: image(f).replace(f / ATTRIBUTES), rf"{ATTRIBUTES}, line 1: must be UTF-8 text"),
    "absolute name": (line(IDENTITY, 3, "/etc/passwd 3"), r"line 3: .* plain file name .* folder, got '/etc/passwd'"),
    "name goes up": (line(ATTRIBUTES, 5, f"../x.jpg {GOOD}"), r"line 5: .*stays in the image folder, got '\.\./x"),
    "name goes up on Windows": (line(ATTRIBUTES, 5, f"..\\x.jpg {GOOD}"), r"line 5: .*got '\.\.\\\\x\.jpg'"),
    "name is the folder": (line(ATTRIBUTES, 5, f".. {GOOD}"), r"line 5: must begin with a plain .*got '\.\.'"),
    "name too long": (line(ATTRIBUTES, 5, f"{'x' * 256} {GOOD}"), r"line 5: must begin with a plain .*got 'xxx"),
    "name with escape code": (line(ATTRIBUTES, 5, f"\x1b[2J {GOOD}"), r"line 5: must begin .*got '\\x1b\[2J'"),
    "link out of the folder": (lambda f: link_out(image(f)), rf"{THIRD}: a link in the image folder must stay in it"),
    "link to nothing": (lambda f: (image(f).unlink(), image(f).symlink_to("gone")), rf"{THIRD}\): the image must be"),
    "image cut short": (lambda f: cut_short(image(f)), rf"{THIRD}: must be a whole JPEG or PNG .*truncated"),
    "image empty": (lambda f: image(f).write_bytes(b""), rf"{THIRD}: must be a JPEG or PNG image, it is neither"),
    "landmark right of image": (line(LANDMARKS, 5, f"{THIRD} 40{POINTS[2:]}"), r"left_eye .* x < 40, got 40"),
    "landmark above image": (line(LANDMARKS, 5, f"{THIRD} 10 -1{POINTS[4:]}"), r"landmark left_eye .* y < 50, got -1"),
}  # fmt: skip


def male(folder: Path, value: str) -> None:
    fields = [THIRD, *GOOD.split()]
    fields[21] = value
    replace_line(folder / ATTRIBUTES, 5, " ".join(fields))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "prepare_celeba.py"), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(("damage", "message"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_ends_in_one_line_and_leaves_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Damage,
    message: str,
) -> None:
    source = write_celeba(tmp_path / "celeba", rows())
    damage(source)
    before = names(tmp_path)
    # All 24 people, so that the damaged one is among them.
    arguments = ["--celeba", str(source), "--out", str(tmp_path / "data" / "mini"), "--people", "24"]
    assert exit_code("prepare_celeba.py", *arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.splitlines()) == 1
    assert output.err.startswith(f"error: {source}")
    assert re.search(message, output.err), output.err
    assert names(tmp_path) == before


BAD_ARGUMENTS: dict[str, tuple[list[str], str]] = {
    "no folder": (["--celeba", "{tmp}/nowhere"], "nowhere: must be a folder with CelebA's annotation files"),
    "a file for a folder": (["--celeba", f"{{tmp}}/celeba/{IDENTITY}"], "must be a folder with CelebA's annotation"),
    "too few women": (["--people", "26"], "26 people need 13 women of different identities, there are 12"),
    "odd": (["--people", "21"], "--people 21: must be even, half women and half men"),
    "too few": (["--people", "18"], "people must be an integer from 20"),
    "negative seed": (["--people", "20", "--seed", "-1"], "seed must be an integer from 0"),
    "out is not empty": (["--people", "20", "--out", "{tmp}/celeba"], "celeba: must be a new or an empty folder"),
    "out is a file": (["--people", "20", "--out", f"{{tmp}}/celeba/{IDENTITY}"], "must be a new or an empty folder"),
    "out below a file": (["--people", "20", "--out", f"{{tmp}}/celeba/{IDENTITY}/x"], "x: cannot be written"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_bad_arguments_end_in_one_line_and_leave_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    write_celeba(tmp_path / "celeba", rows())
    before = names(tmp_path)
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    defaults = ["--celeba", str(tmp_path / "celeba"), "--out", str(tmp_path / "mini")]
    assert exit_code("prepare_celeba.py", *defaults, *given) == 2  # argparse takes the last of two
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert message in error
    assert names(tmp_path) == before


def test_the_script_says_what_it_made_and_what_to_run_next(tmp_path: Path) -> None:
    source, out = write_celeba(tmp_path / "celeba", rows()), tmp_path / "data" / "mini"
    result = run("--celeba", str(source), "--out", str(out), "--people", "20")
    assert (result.returncode, result.stderr) == (0, "")
    assert "20 faces of 20 people: 10 women, 10 men" in result.stdout
    assert result.stdout.endswith(f"next: python {SCRIPTS / 'search.py'} --space multitask --data {out}\n")
    assert len(list((out / "img_align_celeba").iterdir())) == 20


def test_a_folder_with_a_space_is_quoted_in_the_next_command(tmp_path: Path) -> None:
    out = tmp_path / "my faces"
    result = run("--celeba", str(write_celeba(tmp_path / "celeba", rows())), "--out", str(out), "--people", "20")
    assert result.stdout.endswith(f"--data '{out}'\n")


def test_an_error_does_not_stand_in_the_line_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    def damaged() -> None:
        with Show() as show:
            show(3, 24)
            raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        damaged()
    assert capsys.readouterr().err == "\r3/24 images\n"
    with Show():
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["39 attributes", "image cut short", "landmark right of image"])
def test_a_process_ends_on_bad_input_with_code_2_one_line_and_nothing_left(tmp_path: Path, kind: str) -> None:
    source = write_celeba(tmp_path / "celeba", rows())
    BAD_INPUT[kind][0](source)
    before = names(tmp_path)
    result = run("--celeba", str(source), "--out", str(tmp_path / "data" / "mini"), "--people", "24")
    assert result.returncode == 2
    assert result.stdout == ""
    assert re.fullmatch(rf"error: .*{BAD_INPUT[kind][1]}.*\n", result.stderr)
    assert names(tmp_path) == before
