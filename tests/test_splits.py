from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.faces import Faces
from core.splits import PARTS, Split, read_split, split_faces, write_split


def sizes(split: Split) -> tuple[int, int, int]:
    return len(split.train), len(split.validation), len(split.test)


def assert_divides(split: Split, count: int) -> None:
    """Each of ``count`` faces is in one part, and each part is sorted."""
    everything = np.concatenate([split.train, split.validation, split.test])
    assert sorted(everything.tolist()) == list(range(count))
    assert all((np.diff(getattr(split, part)) > 0).all() for part in PARTS)


def files(count: int) -> np.ndarray:
    return np.array([f"{index:06}.jpg" for index in range(count)])


def faces(count: int = 40) -> Faces:
    images = np.zeros((count, 3, 224, 224), np.uint8)
    landmarks, gender = np.zeros((count, 5, 2), np.float32), np.arange(count) % 2
    return Faces(images, landmarks, gender, np.arange(count), files(count), True, "0" * 64, "celeba")


def test_500_faces_become_the_papers_405_45_and_50() -> None:
    gender = np.repeat([0, 1], 250)
    split = split_faces(gender, np.arange(500), seed=0)
    assert_divides(split, 500)
    assert sizes(split) == (405, 45, 50)
    assert gender[split.test].sum() == 25
    assert gender[split.validation].sum() in (22, 23)
    assert gender[split.train].sum() in (202, 203)


@given(st.integers(10, 400), st.integers(0, 2**32 - 1))
def test_of_as_many_women_as_men_no_part_has_two_more_of_one(each: int, seed: int) -> None:
    gender = np.arange(2 * each) % 2
    split = split_faces(gender, np.arange(2 * each), seed)
    assert_divides(split, 2 * each)
    for part, share in zip(PARTS, (0.81, 0.09, 0.10), strict=True):
        indices = getattr(split, part)
        assert abs(len(indices) - share * 2 * each) <= 1
        assert abs(2 * gender[indices].sum() - len(indices)) <= 1


@given(st.integers(30, 300), st.integers(30, 300), st.integers(0, 99))
def test_every_part_has_the_share_of_men_that_all_have(women: int, men: int, seed: int) -> None:
    gender = np.repeat([0, 1], [women, men])
    split = split_faces(gender, np.arange(women + men), seed)
    assert_divides(split, women + men)
    for part in PARTS:
        indices = getattr(split, part)
        assert abs(gender[indices].sum() - len(indices) * men / (women + men)) < 2


@given(st.lists(st.integers(1, 12), min_size=100, max_size=300), st.integers(0, 99))
def test_nobody_is_in_two_parts_and_each_cut_is_within_half_a_persons_faces(images: list[int], seed: int) -> None:
    identity = np.repeat(np.arange(len(images)) * 17 % 1009, images)  # 17 and 1009 have no common divisor
    gender = np.repeat(np.arange(len(images)) % 2, images)
    split = split_faces(gender, identity, seed)
    assert_divides(split, len(identity))
    people = [set(identity[getattr(split, part)]) for part in PARTS]
    assert sum(map(len, people)) == len(images) == len(set.union(*people))
    train, validation, test = sizes(split)
    half, genders = 12 / 2, 2
    assert abs(test - 0.10 * len(identity)) <= genders * half + 0.5  # and half a face for rounding the share
    assert abs(train - 0.81 * len(identity)) <= genders * half + 1
    assert abs(validation - 0.09 * len(identity)) <= 2 * genders * half + 0.5  # two cuts


def test_somebody_with_a_wrong_label_stays_in_one_part() -> None:
    identity = np.repeat(np.arange(60), 3)
    gender = np.repeat(np.arange(60) % 2, 3)
    gender[::9] = 1 - gender[::9]
    split = split_faces(gender, identity, seed=1)
    people = [set(identity[getattr(split, part)]) for part in PARTS]
    assert sum(map(len, people)) == 60


def test_the_seed_decides_and_nothing_else() -> None:
    gender, identity = np.arange(100) % 2, np.arange(100)
    prints = [split_faces(gender, identity, seed).fingerprint(files(100)) for seed in (0, 0, 1, 2)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_people_fall_in_the_same_parts_whatever_the_order_of_their_images() -> None:
    gender, identity = np.arange(100) % 2, np.arange(100)
    order = np.random.default_rng(0).permutation(100)
    split, shuffled = split_faces(gender, identity, 5), split_faces(gender[order], identity[order], 5)
    assert set(identity[split.test]) == set(identity[order][shuffled.test])
    assert split.fingerprint(files(100)) == shuffled.fingerprint(files(100)[order])


def test_everybody_comes_into_the_test_set_of_some_seed() -> None:
    gender = np.arange(100) % 2
    tested = {index for seed in range(80) for index in split_faces(gender, np.arange(100), seed).test}
    assert len(tested) == 100  # a fair split misses one of 100 with probability 100 x 0.9^80 = 0.02; seeds are fixed


def test_the_fingerprint_changes_with_a_name_and_with_a_part() -> None:
    split = split_faces(np.arange(40) % 2, np.arange(40), 0)
    other_files = files(40)
    other_files[3] = "x.jpg"
    exchanged = Split(split.validation, split.train, split.test)
    prints = {split.fingerprint(files(40)), split.fingerprint(other_files), exchanged.fingerprint(files(40))}
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("gender", "identity", "message"),
    [
        (
            [0] * 100 + [1] * 5,
            range(105),
            "validation gets no men of 5 among 105 faces",
        ),
        ([0] * 100, range(100), "train gets no men of 0 among 100 faces"),
        ([0, 1] * 4, range(8), "too few faces: train, validation and test must each hold women and men"),
        ([0, 1] * 50, [0, 1] * 50, "too few faces"),  # two people, however many faces they have
    ],
)
def test_too_few_women_or_men_for_three_parts_is_an_error(gender: list[int], identity: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        split_faces(np.array(gender, dtype=np.int64), np.array(identity, dtype=np.int64), 0)


def test_a_written_split_is_read_again(tmp_path: Path) -> None:
    data = faces()
    split = split_faces(data.gender, data.identity, 0)
    write_split(tmp_path / "split.csv", data, split)
    lines = (tmp_path / "split.csv").read_text().splitlines()
    assert lines[0] == "file,split"
    assert lines[1:] == sorted(lines[1:])
    assert f"{data.file[split.test[0]]},test" in lines
    assert len(list(tmp_path.iterdir())) == 1
    read = read_split(tmp_path / "split.csv", data)
    for part in PARTS:
        assert getattr(read, part).tolist() == getattr(split, part).tolist()
        assert getattr(read, part).dtype == np.int64


def test_names_with_commas_and_quotes_survive(tmp_path: Path) -> None:
    data = replace(faces(), file=np.array([f'a "{index}", é.jpg' for index in range(40)]))
    split = split_faces(data.gender, data.identity, 0)
    write_split(tmp_path / "split.csv", data, split)
    assert read_split(tmp_path / "split.csv", data).fingerprint(data.file) == split.fingerprint(data.file)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("file,split\n", "", "line 1: must be 'file,split'"),
        ("000000.jpg,", "000099.jpg,", "line 2: must name a face of celeba once, got '000099.jpg'"),
        ("000001.jpg,", "000000.jpg,", "line 3: must name a face of celeba once, got '000000.jpg'"),
        ("train", "trane", "must be a file and train, validation, test, got '0000...jpg,trane'"),
        (",train", "", "must be a file and train, validation, test, got '0000...jpg'"),
        ("000039.jpg", "\x00", "split.csv"),
    ],
)
def test_a_split_that_is_not_of_these_faces_is_an_error(tmp_path: Path, old: str, new: str, message: str) -> None:
    data, path = faces(), tmp_path / "split.csv"
    write_split(path, data, split_faces(data.gender, data.identity, 0))
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message) as error:
        read_split(path, data)
    assert len(str(error.value).splitlines()) == 1


def test_a_face_without_a_part_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    write_split(path, faces(), split_faces(faces().gender, faces().identity, 0))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match=r"must name every face of celeba, 000039\.jpg is missing"):
        read_split(path, faces())


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), (b"", "line 1"), (b"\xff\xfe", "UTF-8")])
def test_a_split_file_that_is_none_is_an_error(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "split.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_split(path, faces())
