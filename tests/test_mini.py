import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tiny_celeba import Row, rows, write_celeba, write_csv, write_images, write_txt

from core.celeba import read_celeba
from core.errors import UserError
from core.mini import build_mini


def chosen(source: Path, out: Path, seed: int = 0, people: int = 20) -> list[str]:
    build_mini(source, out, people, seed)
    return read_celeba(out).file.tolist()


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_half_are_women_half_men_and_nobody_comes_twice(tmp_path: Path) -> None:
    table = rows(women=14, men=17, images_each=3)
    summary = build_mini(write_celeba(tmp_path / "source", table), tmp_path / "new" / "mini", people=24)
    of_file = {row.file: row for row in table}
    mini = [of_file[path.name] for path in (tmp_path / "new" / "mini" / "img_align_celeba").iterdir()]
    assert len(mini) == len({row.identity for row in mini}) == 24
    assert sum(row.is_man for row in mini) == 12
    assert (summary.faces, summary.identities, summary.women, summary.men) == (24, 24, 12, 12)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mini"]


def test_annotations_and_images_are_the_sources_own(tmp_path: Path) -> None:
    source = write_celeba(tmp_path / "source", rows())
    files = chosen(source, tmp_path / "mini")
    assert files == sorted(files)
    for name, extra_lines in (("list_attr_celeba", 2), ("list_landmarks_align_celeba", 2), ("identity_CelebA", 0)):
        before, after = ((folder / f"{name}.txt").read_text().splitlines() for folder in (source, tmp_path / "mini"))
        row_of = {line.split()[0]: line.split() for line in before[extra_lines:]}
        assert [line.split() for line in after[extra_lines:]] == [row_of[file] for file in files]
        assert [line.split() for line in after[:extra_lines]] == [["20"], before[1].split()][:extra_lines]
    for file in files:
        image = Path("img_align_celeba") / file
        assert (tmp_path / "mini" / image).read_bytes() == (source / image).read_bytes()


def test_coordinates_between_pixels_survive(tmp_path: Path) -> None:
    table = rows(10, 10)
    table[3] = Row(table[3].file, table[3].attributes, [10.125, 0.1, 30, *table[3].landmarks[3:]], table[3].identity)
    source = write_celeba(tmp_path / "source", table)
    chosen(source, tmp_path / "mini")
    assert read_celeba(tmp_path / "mini").landmarks.tolist() == read_celeba(source).landmarks.tolist()


def test_the_same_seed_chooses_the_same_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    table = rows(women=14, men=17, images_each=3)
    source = write_celeba(tmp_path / "source", table)
    chosen(source, tmp_path / "mini")
    write_txt(source, table[::-1])
    chosen(source, tmp_path / "again")
    assert content(tmp_path / "mini") == content(tmp_path / "again")


def test_every_image_of_everybody_can_be_chosen(tmp_path: Path) -> None:
    source = write_celeba(tmp_path / "source", rows(women=11, men=11, images_each=2))
    seen = {file for seed in range(16) for file in chosen(source, tmp_path / f"mini-{seed}", seed)}
    assert len(seen) == 44  # a fair choice misses one of 44 with probability 44 x 0.55^16 = 0.003; seeds are fixed


def test_people_whose_gender_is_in_doubt_are_passed_over(tmp_path: Path) -> None:
    table = rows(women=11, men=11, images_each=2)
    table[0].attributes[20] *= -1  # one of two images of the first woman
    source = write_celeba(tmp_path / "source", table)
    for seed in range(5):
        assert not {table[0].file, table[1].file} & set(chosen(source, tmp_path / f"mini-{seed}", seed))
    with pytest.raises(UserError, match="22 people need 11 women of different identities, there are 10"):
        build_mini(source, tmp_path / "all", people=22)


def test_an_empty_folder_is_filled_and_a_full_one_is_left_alone(tmp_path: Path) -> None:
    source = write_celeba(tmp_path / "source", rows())
    (tmp_path / "mini").mkdir()
    assert len(chosen(source, tmp_path / "mini")) == 20
    before = content(tmp_path)
    with pytest.raises(UserError, match="mini: must be a new or an empty folder"):
        build_mini(source, tmp_path / "mini", 20)
    assert content(tmp_path) == before


def test_the_new_folder_is_as_open_to_others_as_any(tmp_path: Path) -> None:
    chosen(write_celeba(tmp_path / "source", rows()), tmp_path / "mini")
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "mini").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_progress_counts_every_image(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    progress: Callable[[int, int], None] = lambda done, total: heard.append((done, total))
    build_mini(write_celeba(tmp_path / "source", rows()), tmp_path / "mini", 20, progress=progress)
    assert heard == [(done, 20) for done in range(1, 21)]


def test_the_real_excerpt_gives_the_papers_500_faces(tmp_path: Path) -> None:
    if "TANDEM_CELEBA" not in os.environ:
        pytest.skip("TANDEM_CELEBA names no CelebA folder")
    summary = build_mini(Path(os.environ["TANDEM_CELEBA"]), tmp_path / "mini")
    assert (summary.faces, summary.identities, summary.women, summary.men) == (500, 500, 250, 250)
    with Image.open(next((tmp_path / "mini" / "img_align_celeba").iterdir())) as image:
        assert image.size == (178, 218)


def test_a_name_with_a_space_which_the_official_tables_cannot_hold_is_refused(tmp_path: Path) -> None:
    table = rows()
    write_images(tmp_path / "kaggle", table)
    write_csv(tmp_path / "kaggle", table)
    for path in (tmp_path / "kaggle").glob("*.csv"):
        path.write_text(path.read_text().replace("000001.jpg", "000001 a.jpg"))
    image = tmp_path / "kaggle/img_align_celeba/000001.jpg"
    image.rename(image.with_name("000001 a.jpg"))
    assert len(read_celeba(tmp_path / "kaggle").file) == 24
    with pytest.raises(UserError, match=r"must have no spaces, got '000001 a\.jpg'"):
        build_mini(tmp_path / "kaggle", tmp_path / "mini", 24)
    assert not (tmp_path / "mini").exists()
