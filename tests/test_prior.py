import math

import numpy as np
import pytest
from scipy import stats

from search_spaces.catalogue import SPACES
from search_spaces.parameter import Choice, Float, Int
from search_spaces.parts import with_parts
from search_spaces.prior import FAITH, PAPER_PRIOR, WIDTH, anywhere, centred, draw_around, near, trust

JOINT = SPACES["joint"]


def drawn(parameter, value, count=2000, seed=0):
    random = np.random.default_rng(seed)
    return [near(parameter, value, random) for _ in range(count)]


def test_trust_is_whole_at_first_half_after_beta_trials_and_falls_as_one_over_their_number():
    assert [trust(n) for n in (0, 4, 12)] == [1, 0.5, 0.25]  # 4 / (4 + n)
    assert trust(10**6) * 10**6 == pytest.approx(4, rel=1e-4)
    assert all(trust(n + 1) < trust(n) for n in range(50))


@pytest.mark.parametrize(
    ("parameter", "value"),
    [(Float(1e-5, 1e-3, log=True), 1e-4), (Float(1e-5, 1e-3, log=True), 1e-3), (Float(-2.0, 6.0), 5.5)],
)
def test_numbers_come_from_a_normal_bell_on_their_own_scale_cut_off_at_the_bounds(parameter, value):
    scale = math.log if parameter.log else float
    low, high, middle = scale(parameter.low), scale(parameter.high), scale(value)
    width = WIDTH * (high - low)
    bell = stats.truncnorm((low - middle) / width, (high - middle) / width, middle, width)
    assert stats.kstest([scale(x) for x in drawn(parameter, value)], bell.cdf).pvalue > 0.01


def test_a_whole_number_has_the_bells_share_of_its_own_unit():
    parameter, value, count = Int(1, 20), 19, 4000
    low, high = 0.5, 20.5
    bell = stats.norm(value, WIDTH * (high - low))
    inside = bell.cdf(high) - bell.cdf(low)
    found = drawn(parameter, value, count)
    for number in (15, 17, 19, 20):
        share = (bell.cdf(number + 0.5) - bell.cdf(number - 0.5)) / inside
        assert found.count(number) / count == pytest.approx(share, abs=4 * math.sqrt(share / count))


def test_a_choice_is_mostly_the_known_value_and_the_others_share_the_rest_evenly():
    found = drawn(Choice(("a", "b", "c", "d")), "b", 4000)
    assert found.count("b") / 4000 == pytest.approx(FAITH, abs=0.03)
    for other in "acd":
        assert found.count(other) / 4000 == pytest.approx((1 - FAITH) / 3, abs=0.025)
    assert set(drawn(Choice((7,)), 7, 50)) == {7}


@pytest.mark.parametrize(
    "parameter",
    [Float(1e-5, 1e-3, log=True), Float(0.0, 0.95), Int(32, 512, log=True), Int(1, 2), Float(1e-300, 1e300, log=True)],
)
def test_no_draw_breaks_a_bound_wherever_the_value_is(parameter):
    random = np.random.default_rng(1)
    for value in (parameter.low, parameter.high, anywhere(parameter, random)):
        assert all(x in parameter for x in drawn(parameter, value, 300))


def test_draws_without_a_known_value_are_even():
    random = np.random.default_rng(0)
    logs = [math.log10(anywhere(Float(1e-5, 1e-3, log=True), random)) for _ in range(2000)]
    assert stats.kstest(logs, stats.uniform(-5, 2).cdf).pvalue > 0.01
    whole = [anywhere(Int(1, 4), random) for _ in range(2000)]
    assert all(whole.count(number) / 2000 == pytest.approx(0.25, abs=0.04) for number in (1, 2, 3, 4))


@pytest.mark.parametrize("kind", PAPER_PRIOR)
def test_trials_around_the_paper_lie_in_the_space_and_are_of_its_kind(kind):
    centre, _ = centred(JOINT, kind, PAPER_PRIOR[kind])
    random = np.random.default_rng(0)
    for _ in range(40):
        found = draw_around(JOINT, kind, centre, random)
        assert found["architecture"] == kind
        assert set(found) == {key for key in JOINT.parameters if JOINT.is_active(key, found)}
        assert all(value in JOINT.parameters[key] for key, value in found.items())


def test_the_papers_prior_is_what_figure_10_chose_and_of_each_model_only_what_it_has():
    found = {kind: centred(JOINT, kind, PAPER_PRIOR[kind]) for kind in PAPER_PRIOR}
    assert found["gender"] == ({"optimizer": "adamax", "lr": 1e-3}, [])
    assert found["landmarks"][0] == found["gender"][0] | {"landmark_loss": "l1"}
    assert found["multitask"][0] == found["landmarks"][0] | {"lambda1": 1.0, "lambda2": 20.0}
    assert found["attention"][0] == found["multitask"][0] | {"d_k": 512}


def test_what_a_space_cannot_follow_is_told():
    space = SPACES["multitask"].with_fixed({"batch_size": 32, "lambda1": 1.0})
    centre, skipped = centred(space, "multitask", PAPER_PRIOR["multitask"] | {"lr": 0.1})
    assert centre == {"optimizer": "adamax", "landmark_loss": "l1", "lambda2": 20.0}
    assert skipped == ["lr 0.1 is none of 1e-05 to 0.001, log", "batch_size 15 is fixed at 32"]


def test_a_conditional_value_counts_only_where_its_own_condition_holds():
    values = {"optimizer": "adam", "landmark_loss": "wing", "wing_w": 0.05, "huber_delta": 0.1}
    assert centred(JOINT, "landmarks", values)[0] == {"optimizer": "adam", "landmark_loss": "wing", "wing_w": 0.05}


def test_the_papers_prior_has_its_plain_parts_and_keeps_d_k_where_the_kind_of_attention_varies():
    space = with_parts(SPACES["joint"].with_fixed({"frozen_blocks": 4}), ["attention", "d_v", "flip", "landmark_head"])
    centre, skipped = centred(space, "attention", PAPER_PRIOR["attention"])
    assert (centre["d_k"], centre["d_v"], centre["attention"]) == (512, 512, "self")
    assert (centre["flip"], centre["landmark_head"]) == (False, "regression")
    assert not [word for word in skipped if word.startswith("d_k")]


@pytest.mark.parametrize("own", [0.0, 3e-4])
def test_a_winners_landmarks_rate_is_drawn_around_or_left_out_where_it_follows_the_common_one(own):
    values = {"optimizer": "adam", "lr": 1e-4, "lr_landmarks": own}
    varied = with_parts(SPACES["joint"].with_fixed({"frozen_blocks": 4}), ["lr_landmarks"])
    centre, skipped = centred(varied, "multitask", values)
    assert centre["lr_landmarks"] == (own or 1e-4)
    assert skipped == []
    _, skipped = centred(SPACES["joint"], "multitask", values)
    assert skipped == (["lr_landmarks 0.0003 follows lr"] if own else [])
    fixed = SPACES["joint"].with_fixed({"lr": 1e-4})
    assert centred(fixed, "multitask", values)[1] == (["lr_landmarks 0.0003 is fixed at 0.0001"] if own else [])
    assert centred(fixed, "multitask", values | {"lr_landmarks": 1e-4})[1] == []
