from dataclasses import replace

import numpy as np
import pytest

from core import portrait
from core.drawing import Pose
from core.names import CROP, MAN, WOMAN
from core.scene import BACKDROPS, Scene
from core.synthetic import draw_face, draw_faces, paint, sample_pose, sample_traits
from core.traits import CHANCES, CHOICES, NORMAL_CUES, Traits

FRONTAL = Pose(x=112, y=112, eye_distance=60, tilt=0, yaw=0, pitch=0)
STUDIO = Scene(
    backdrop="gradient",
    defocus=1,
    colours=((128, 128, 128),) * 3,
    light=(0, 0),
    gain=(1, 1, 1),
    contrast=1,
    saturation=1,
    blur=0,
    noise=0,
)


@pytest.fixture
def plain() -> Traits:
    """A face with nothing in front of its eyes and mouth."""
    traits = sample_traits(np.random.default_rng(0), WOMAN)
    return replace(
        traits, skin=(220, 180, 150), glasses="", hat="", beard="", fringe=False, make_up=0, earrings=False,
        hair_tip_y=0.2, eye_opening=0.15, mouth_open=0, smile=0.3, wrinkles=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def many() -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (N, 5, 2) and genders (N,) of two thousand faces that need not be painted."""
    landmarks, gender = [], np.arange(2000) % 2
    for i in range(2000):
        rng = np.random.default_rng((11, i))
        landmarks.append(portrait.landmarks(sample_pose(rng), sample_traits(rng, int(gender[i]))))
    return np.array(landmarks), gender


POSES = [
    replace(FRONTAL, tilt=tilt, yaw=yaw, pitch=pitch)
    for tilt, yaw, pitch in ((0, 0, 0), (0.5, 0, 0), (-0.4, 0.45, 0.1), (0.2, -0.5, -0.2))
]


def pixels(pose: Pose, traits: Traits) -> np.ndarray:
    return np.asarray(paint(pose, STUDIO, traits, np.random.default_rng(0))).astype(int)


def changed(pose: Pose, traits: Traits, **other: object) -> np.ndarray:
    """(y, x) of the pixels that change where one trait does."""
    difference = np.abs(pixels(pose, traits) - pixels(pose, replace(traits, **other))).max(axis=2)
    return np.argwhere(difference > 40)


def test_a_face_depends_on_seed_and_number_and_not_on_the_count() -> None:
    few, many_ = draw_faces(3, seed=4), draw_faces(6, seed=4)
    for a, b in zip(few, many_, strict=True):
        np.testing.assert_array_equal(a, b[:3])


def test_two_seeds_draw_different_faces() -> None:
    (first, first_landmarks, _), (second, second_landmarks, _) = draw_faces(2, seed=0), draw_faces(2, seed=1)
    assert (np.abs(first.astype(int) - second).mean(axis=(1, 2, 3)) > 5).all()
    assert (first_landmarks != second_landmarks).all()


def test_faces_have_the_documented_types_and_shapes() -> None:
    images, landmarks, gender = draw_faces(2, seed=0)
    assert (images.dtype, images.shape) == (np.uint8, (2, 3, CROP, CROP))
    assert (landmarks.dtype, landmarks.shape) == (np.float32, (2, 5, 2))
    assert (gender.dtype, gender.shape) == (np.int64, (2,))


def test_draw_faces_returns_what_draw_face_paints_channels_first() -> None:
    image, landmarks = draw_face(np.random.default_rng((9, 1)), MAN)
    images, all_landmarks, _ = draw_faces(2, seed=9)
    assert (image.mode, image.size) == ("RGB", (CROP, CROP))
    np.testing.assert_array_equal(images[1, :, 30, 40], image.getpixel((40, 30)))
    np.testing.assert_array_equal(all_landmarks[1], landmarks)


@pytest.mark.parametrize("count", [0, 1, 6, 7])
def test_women_and_men_differ_by_one_at_most(count: int) -> None:
    _, _, gender = draw_faces(count, seed=0)
    assert (gender == MAN).sum() == count // 2
    assert (gender == WOMAN).sum() == count - count // 2


def test_images_go_into_the_array_that_is_passed(tmp_path) -> None:
    out = np.lib.format.open_memmap(tmp_path / "images.npy", mode="w+", dtype=np.uint8, shape=(2, 3, CROP, CROP))
    images, _, _ = draw_faces(2, seed=3, out=out)
    assert images is out
    np.testing.assert_array_equal(np.load(tmp_path / "images.npy"), draw_faces(2, seed=3)[0])


def test_an_array_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"out must be uint8 of shape \(2, 3, 224, 224\), got float64"):
        draw_faces(2, seed=0, out=np.empty((2, 3, CROP, CROP)))  # type: ignore[arg-type]


def test_progress_counts_every_face() -> None:
    calls: list[tuple[int, int]] = []
    draw_faces(3, seed=0, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_landmarks_of_a_frontal_face_are_where_its_measures_put_them(plain: Traits) -> None:
    traits = replace(plain, smile=0, mouth_width=0.4, mouth_y=1.15, nose_y=0.65)
    expected = [
        [82, 79],
        [142, 79],
        [112, 118],
        [88, 148],
        [136, 148],
    ]  # 60 px a unit; (112, 112) is 0.55 below the eyes
    np.testing.assert_allclose(portrait.landmarks(FRONTAL, traits), expected, atol=1e-4)


def test_a_tilted_face_has_its_landmarks_rotated_about_its_centre(plain: Traits) -> None:
    x, y = (portrait.landmarks(FRONTAL, plain) - 112).T
    c, s = np.cos(0.4), np.sin(0.4)
    expected = np.stack([c * x - s * y, s * x + c * y], axis=1) + 112
    np.testing.assert_allclose(portrait.landmarks(replace(FRONTAL, tilt=0.4), plain), expected, atol=1e-4)


def test_a_turn_moves_the_nose_that_way_and_shortens_the_distance_between_the_eyes(plain: Traits) -> None:
    left, right, nose, *_ = portrait.landmarks(replace(FRONTAL, yaw=0.5), plain)
    assert right[0] - left[0] == pytest.approx(60 * np.cos(0.5), abs=0.01)
    assert nose[0] - (left[0] + right[0]) / 2 > 5


@pytest.mark.parametrize("pose", POSES)
def test_eye_landmarks_are_the_centres_of_the_painted_irises(pose: Pose, plain: Traits) -> None:
    where = changed(pose, replace(plain, iris=(20, 20, 20)), iris=(250, 20, 250))[:, ::-1]
    eyes = portrait.landmarks(pose, plain)[:2]
    nearest = np.linalg.norm(where[:, None] - eyes, axis=2).argmin(axis=1)
    for eye in (0, 1):
        painted = where[nearest == eye]
        assert len(painted) > 50
        np.testing.assert_allclose((painted.min(axis=0) + painted.max(axis=0)) / 2, eyes[eye], atol=1.0)


def test_pupils_are_dark_and_the_tip_of_the_nose_is_bright(plain: Traits) -> None:
    picture = pixels(FRONTAL, plain).mean(axis=2)
    left, right, nose, *_ = np.rint(portrait.landmarks(FRONTAL, plain)).astype(int)
    assert picture[left[1], left[0]] < 40
    assert picture[right[1], right[0]] < 40
    assert picture[nose[1], nose[0]] > picture[nose[1], nose[0] + 8] + 10
    assert picture[nose[1], nose[0]] > picture[nose[1], nose[0] - 8] + 10


@pytest.mark.parametrize("pose", POSES)
def test_mouth_landmarks_are_the_ends_of_the_painted_lips(pose: Pose, plain: Traits) -> None:
    where = changed(pose, replace(plain, lips=(20, 20, 20)), lips=(250, 20, 250))[:, ::-1]
    corners = portrait.landmarks(pose, plain)[3:]
    along = corners[1] - corners[0]
    share = (where - corners[0]) @ along / (along @ along)
    for corner, end in ((corners[0], share.argmin()), (corners[1], share.argmax())):
        assert np.linalg.norm(where[end] - corner) < 2.5


def test_every_landmark_lies_well_inside_the_crop(many: tuple[np.ndarray, np.ndarray]) -> None:
    landmarks, _ = many
    assert landmarks.min() > 10
    assert landmarks.max() < CROP - 10


def test_left_is_left_in_the_image_and_eyes_are_apart(many: tuple[np.ndarray, np.ndarray]) -> None:
    landmarks, _ = many
    assert (landmarks[:, 0, 0] < landmarks[:, 1, 0] - 20).all()
    assert (landmarks[:, 3, 0] < landmarks[:, 4, 0]).all()


def test_the_mean_face_of_other_faces_scores_an_nme_of_43_to_48(many: tuple[np.ndarray, np.ndarray]) -> None:
    landmarks, _ = many
    train, test = landmarks[:1000], landmarks[1000:]
    distance = np.linalg.norm(test - train.mean(axis=0), axis=2).mean(axis=1)
    between_eyes = np.linalg.norm(test[:, 0] - test[:, 1], axis=1)
    assert 43 <= 100 * (distance / between_eyes).mean() <= 48


def test_landmarks_tell_nothing_of_the_gender_by_position(many: tuple[np.ndarray, np.ndarray]) -> None:
    landmarks, gender = many
    centres = landmarks.mean(axis=1)
    gap = centres[gender == MAN].mean(axis=0) - centres[gender == WOMAN].mean(axis=0)
    assert np.abs(gap).max() < 4 * centres.std(axis=0).max() * np.sqrt(2 / 1000)


@pytest.mark.parametrize("name", NORMAL_CUES)
def test_each_measured_cue_overlaps_between_women_and_men(name: str) -> None:
    women, men, spread, low, high = NORMAL_CUES[name]
    assert abs(women - men) < spread
    assert low < min(women, men) < max(women, men) < high


def test_shares_of_every_choice_add_up() -> None:
    for shares in CHOICES.values():
        np.testing.assert_allclose(np.sum(list(shares.values()), axis=0), 1)
    assert all(0 <= share <= 1 for shares in CHANCES.values() for share in shares)


def test_drawn_traits_follow_the_table() -> None:
    men = [sample_traits(np.random.default_rng((1, i)), MAN) for i in range(1000)]
    bearded = np.mean([man.beard != "" for man in men])
    expected = 1 - CHOICES["beard"][""][MAN]
    assert abs(bearded - expected) < 4 * np.sqrt(expected * (1 - expected) / 1000)


@pytest.mark.parametrize("backdrop", BACKDROPS)
@pytest.mark.parametrize("hat", CHOICES["hat"])
@pytest.mark.parametrize("beard", CHOICES["beard"])
def test_every_kind_of_background_hat_and_beard_changes_the_picture(
    backdrop: str, hat: str, beard: str, plain: Traits
) -> None:
    dressed = replace(plain, hat=hat, beard=beard, beard_alpha=0.9)
    scene = replace(STUDIO, backdrop=backdrop, colours=((250, 40, 40), (40, 250, 40), (40, 40, 250)))
    picture = np.asarray(paint(FRONTAL, scene, dressed, np.random.default_rng(0))).astype(int)
    assert picture[:, :30].std() > 15  # beside the head
    assert hat == "" or len(changed(FRONTAL, dressed, hat="")) > 200
    assert beard == "" or len(changed(FRONTAL, dressed, beard="")) > 50


@pytest.mark.parametrize("collar", portrait.COLLARS)
@pytest.mark.parametrize("glasses", CHOICES["glasses"])
def test_every_collar_and_kind_of_glasses_can_be_painted(collar: str, glasses: str, plain: Traits) -> None:
    small = replace(FRONTAL, eye_distance=36, y=70)
    other = "scoop" if collar != "scoop" else "round"
    assert len(changed(small, replace(plain, collar=collar, glasses=glasses), collar=other)) > 20
    assert glasses == "" or len(changed(small, replace(plain, glasses=glasses), glasses="")) > 50


def test_pictures_vary_in_light_and_no_two_are_alike() -> None:
    images = draw_faces(24, seed=2)[0].astype(int)
    assert images.mean(axis=(1, 2, 3)).std() > 12
    apart = [np.abs(images[i] - images[j]).mean() for i in range(24) for j in range(i)]
    assert min(apart) > 8
