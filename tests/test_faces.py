import os
import shutil
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from tiny_celeba import SIZE, replace, replace_line, rows, write_celeba
from torchvision import transforms

from core import faces, synthetic
from core.errors import UserError
from core.faces import Faces, load_celeba_faces, load_drawn_faces


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    return write_celeba(tmp_path / "celeba", rows())


def caches(cache: Path) -> list[str]:
    """What is in a cache folder, the lock apart."""
    return sorted(path.name for path in cache.glob("*") if path.suffix != ".lock")


def repaint(path: Path, grey: int) -> None:
    Image.new("RGB", SIZE, (grey,) * 3).save(path, "JPEG")


def test_images_are_cropped_as_by_torchvision_and_labels_are_the_files(tmp_path: Path, celeba: Path) -> None:
    loaded = load_celeba_faces(celeba, tmp_path / "cache")
    assert loaded.source == str(celeba)
    assert loaded.images.shape == (24, 3, 224, 224)
    assert (loaded.images.dtype, loaded.landmarks.dtype) == (np.uint8, np.float32)
    crop = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    for index, row in enumerate(rows()):
        with Image.open(celeba / "img_align_celeba" / row.file) as image:
            assert np.array_equal(loaded.images[index].transpose(1, 2, 0), np.asarray(crop(image)))
        assert (loaded.file[index], loaded.gender[index], loaded.identity[index]) == (
            row.file, int(row.is_man), row.identity
        )  # fmt: skip


def test_landmarks_are_in_crop_pixels(tmp_path: Path, celeba: Path) -> None:
    replace_line(celeba / "list_landmarks_align_celeba.txt", 3, "000001.jpg 19.5 24.5 0 24.5 19.5 0 9.5 24.5 1 2")
    landmarks = load_celeba_faces(celeba, tmp_path / "cache").landmarks[0]
    # 40 x 50 becomes 256 x 320, 6.4 times; the crop begins at x = 16, y = 48. The centre of both is the same place.
    np.testing.assert_allclose(landmarks[0], [111.5, 111.5])
    np.testing.assert_allclose(landmarks[1], [0.5 * 6.4 - 0.5 - 16, 111.5], rtol=1e-6)
    np.testing.assert_allclose(landmarks[2], [111.5, 0.5 * 6.4 - 0.5 - 48], rtol=1e-6)
    np.testing.assert_allclose(landmarks[3], [111.5 - 10 * 6.4, 111.5], rtol=1e-6)


def test_the_second_load_decodes_nothing_and_gives_the_same(
    tmp_path: Path, celeba: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_celeba_faces(celeba, tmp_path / "cache")
    monkeypatch.setattr(faces, "decode_images", None)
    monkeypatch.setattr(faces, "read_celeba", None)
    second = load_celeba_faces(celeba, tmp_path / "cache")
    assert second.fingerprint == first.fingerprint
    for name in ("images", "landmarks", "gender", "identity", "file"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert isinstance(second.images, np.memmap)
    assert not second.images.flags.writeable
    assert second.images_path.is_relative_to(tmp_path / "cache")


def test_a_changed_image_or_row_is_seen(tmp_path: Path, celeba: Path) -> None:
    before = load_celeba_faces(celeba, tmp_path / "cache")
    repaint(celeba / "img_align_celeba" / "000002.jpg", 200)
    image = load_celeba_faces(celeba, tmp_path / "cache")
    assert (image.images[1] == 200).all()
    replace(celeba / "identity_CelebA.txt", "000001.jpg 100", "000001.jpg 7")
    row = load_celeba_faces(celeba, tmp_path / "cache")
    assert row.identity[0] == 7
    assert len({before.fingerprint, image.fingerprint, row.fingerprint}) == 3
    assert len(caches(tmp_path / "cache")) == 3


def test_a_change_that_keeps_an_images_size_is_seen_by_its_time(tmp_path: Path, celeba: Path) -> None:
    image = celeba / "img_align_celeba" / "000002.jpg"
    repaint(image, 100)
    size = image.stat().st_size
    os.utime(image, (1, 1))
    load_celeba_faces(celeba, tmp_path / "cache")
    repaint(image, 101)
    assert image.stat().st_size == size
    assert (load_celeba_faces(celeba, tmp_path / "cache").images[1] == 101).all()


def test_the_fingerprint_is_of_the_content_not_of_place_or_time(tmp_path: Path, celeba: Path) -> None:
    here = load_celeba_faces(celeba, tmp_path / "cache")
    shutil.copytree(celeba, tmp_path / "copy")
    os.utime(tmp_path / "copy" / "img_align_celeba" / "000001.jpg", (1, 1))
    there = load_celeba_faces(tmp_path / "copy", tmp_path / "cache")
    assert there.fingerprint == here.fingerprint
    assert there.source != here.source


def bad_landmark(folder: Path) -> None:
    replace_line(folder / "list_landmarks_align_celeba.txt", 5, "000003.jpg 1 1 2 2 3 3 4 4 5 50")


def cut_short(folder: Path) -> None:
    image = folder / "img_align_celeba" / "000003.jpg"
    image.write_bytes(image.read_bytes()[:300])


def no_landmarks(folder: Path) -> None:
    (folder / "list_landmarks_align_celeba.txt").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (bad_landmark, r"000003\.jpg: landmark right_mouth must have 0 <= y < 50, got 50"),
        (cut_short, r"000003\.jpg: must be a whole JPEG or PNG image"),
        (no_landmarks, r"must hold list_landmarks_align_celeba\.txt"),
    ],
)
def test_bad_input_leaves_no_cache(tmp_path: Path, celeba: Path, damage: Any, message: str) -> None:
    damage(celeba)
    with pytest.raises(UserError, match=message):
        load_celeba_faces(celeba, tmp_path / "cache")
    assert caches(tmp_path / "cache") == []


def test_of_several_damaged_images_the_first_is_named(tmp_path: Path, celeba: Path) -> None:
    for file in ("000020.jpg", "000004.jpg", "000011.jpg"):
        (celeba / "img_align_celeba" / file).write_bytes(b"")
    with pytest.raises(UserError, match=r"000004\.jpg"):
        load_celeba_faces(celeba, tmp_path / "cache")


def test_progress_counts_every_image(tmp_path: Path, celeba: Path) -> None:
    heard: list[tuple[int, int]] = []
    load_celeba_faces(celeba, tmp_path / "cache", lambda done, total: heard.append((done, total)))
    done, total = zip(*heard, strict=True)
    assert done[-1] == 24
    assert list(done) == sorted(set(done))
    assert set(total) == {24}


def test_an_interrupted_build_leaves_no_cache_and_the_next_one_succeeds(tmp_path: Path, celeba: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done < 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_celeba_faces(celeba, tmp_path / "cache", interrupt)
    assert caches(tmp_path / "cache") == []
    assert len(load_celeba_faces(celeba, tmp_path / "cache")) == 24


class Usage(NamedTuple):
    free: int


def test_a_disk_too_full_for_the_cache_is_an_error_before_any_decoding(
    tmp_path: Path, celeba: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(24 * 3 * 224 * 224 - 1))
    monkeypatch.setattr(faces, "decode_images", None)
    with pytest.raises(UserError, match=r"cache: 24 faces need 0\.0 GB of disk"):
        load_celeba_faces(celeba, tmp_path / "cache")
    assert caches(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path, celeba: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write the cache"):
        load_celeba_faces(celeba, tmp_path / "file" / "cache")


@pytest.mark.parametrize("name", ["images.npy", "gender.npy", "meta.json"])
def test_a_damaged_cache_is_an_error_that_says_what_to_do(tmp_path: Path, celeba: Path, name: str) -> None:
    load_celeba_faces(celeba, tmp_path / "cache")
    damaged = tmp_path / "cache" / caches(tmp_path / "cache")[0] / name
    damaged.write_bytes(damaged.read_bytes()[:40])
    with pytest.raises(UserError, match="must be a whole cache of faces; delete it to have it remade"):
        load_celeba_faces(celeba, tmp_path / "cache")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    return load_drawn_faces(20, 3, tmp_path_factory.mktemp("drawn"))


def test_drawn_faces_are_those_of_the_seed_each_a_person(drawn: Faces) -> None:
    images, landmarks, gender = synthetic.draw_faces(20, 3)
    assert np.array_equal(drawn.images, images)
    assert np.array_equal(drawn.landmarks, landmarks)
    assert np.array_equal(drawn.gender, gender)
    assert drawn.identity.tolist() == list(range(20))
    assert (drawn.file[0], drawn.file[19], drawn.source) == ("drawn-000000", "drawn-000019", "drawn")


def test_another_seed_count_or_version_has_a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(count: int, seed: int, progress: object, out: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        out[:] = seed
        return out, np.zeros((count, 5, 2), np.float32), np.zeros(count, np.int64)

    monkeypatch.setattr(synthetic, "draw_faces", draw)
    fingerprints = {load_drawn_faces(count, seed, tmp_path).fingerprint for count, seed in ((20, 1), (21, 1), (20, 2))}
    assert len(fingerprints) == len(caches(tmp_path)) == 3
    monkeypatch.setattr(synthetic, "VERSION", -1)
    load_drawn_faces(20, 1, tmp_path)
    assert len(caches(tmp_path)) == 4


def test_two_loads_at_once_draw_the_faces_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, draws = threading.Event(), []
    draw = synthetic.draw_faces

    def slow(*arguments: Any, **named: Any) -> Any:
        draws.append(1)
        began.set()
        threading.Event().wait(0.3)
        return draw(*arguments, **named)

    monkeypatch.setattr(synthetic, "draw_faces", slow)
    loaded: list[Faces] = []
    first, second = (threading.Thread(target=lambda: loaded.append(load_drawn_faces(20, 0, tmp_path))) for _ in "12")
    first.start()
    assert began.wait(10)
    second.start()
    first.join()
    second.join()
    assert len(draws) == 1
    assert loaded[0].fingerprint == loaded[1].fingerprint


@pytest.mark.parametrize(("count", "seed", "message"), [(19, 0, "from 20 .*got 19"), (20, -1, "seed must be .*got -1")])
def test_too_few_drawn_faces_or_a_negative_seed_are_refused(
    tmp_path: Path, count: int, seed: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load_drawn_faces(count, seed, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_the_real_excerpt_decodes_and_its_mean_face_is_a_face(tmp_path: Path) -> None:
    if "TANDEM_CELEBA" not in os.environ:
        pytest.skip("TANDEM_CELEBA names no CelebA folder")
    loaded = load_celeba_faces(Path(os.environ["TANDEM_CELEBA"]), tmp_path)
    left_eye, right_eye, nose, left_mouth, right_mouth = loaded.landmarks.mean(axis=0)
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_eye[1] < nose[1] < left_mouth[1]
    assert left_mouth[0] < right_mouth[0]
    assert 0 < loaded.landmarks.min() < loaded.landmarks.max() < 224
