import numpy as np
import pytest
from sklearn.linear_model import Ridge

from core import variance_shares
from core.variance_shares import choice_columns, holm, numeric_columns, shares, unexplained


def drawn(count: int, seed: int, inputs: str = "abc") -> dict[str, np.ndarray]:
    """Inputs that are drawn evenly from -1 to 1, each with variance 1/3."""
    random = np.random.default_rng(seed)
    return {name: random.uniform(-1, 1, count) for name in inputs}


def columns(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: numeric_columns(value) for name, value in values.items()}


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variance_shares, "PERMUTATIONS", 199)
    monkeypatch.setattr(variance_shares, "RESAMPLES", 100)


def test_shares_of_a_sum_are_its_squared_weights_and_pairs_add_nothing() -> None:
    x = drawn(1500, seed=0)
    noise = np.random.default_rng(1).normal(0, np.sqrt(1 / 3), 1500)
    found = shares(columns(x), 3 * x["a"] + 2 * x["b"] + noise, "abc", seed=2)  # variances 9, 4, 0 and 1 thirds
    for name, truth in (("a", 9 / 14), ("b", 4 / 14), ("c", 0)):
        assert found[name].alone[0] == pytest.approx(truth, abs=0.04)
        assert found[name].total[0] == pytest.approx(found[name].alone[0], abs=0.04)
        assert found[name].alone[1] <= truth <= found[name].alone[2]
    assert found["a"].chance == found["b"].chance < 0.01 < found["c"].chance


def test_what_two_do_only_together_is_in_the_total_of_both_and_in_neither_alone() -> None:
    x = drawn(1500, seed=3)
    noise = np.random.default_rng(4).normal(0, 1 / 3, 1500)  # as much as the product: each is a half
    found = shares(columns(x), x["a"] * x["b"] + noise, "abc", seed=5)
    for name in "ab":
        assert found[name].alone[0] < 0.02
        assert found[name].total[0] == pytest.approx(0.5, abs=0.06)
        assert found[name].total[1] < 0.5 < found[name].total[2]
        assert found[name].chance < 0.01
    assert found["c"].total[2] < 0.1
    assert found["c"].chance > 0.05


def test_a_choices_share_is_the_variance_between_its_values() -> None:
    random = np.random.default_rng(6)
    level = random.integers(0, 3, 1500)  # means 0, 1 and 2: variance 2/3
    results = level + random.normal(0, np.sqrt(2 / 3), 1500)
    inputs = {"choice": choice_columns(level.tolist()), **columns(drawn(1500, 7, "a"))}
    assert shares(inputs, results, ["choice"], seed=8)["choice"].alone[0] == pytest.approx(0.5, abs=0.04)


def test_a_valley_is_seen_that_no_line_shows() -> None:
    x = drawn(60, seed=9)
    found = shares(columns(x), x["a"] ** 2, "a", seed=10)["a"]
    assert found.alone == pytest.approx((1, 1, 1))
    assert np.corrcoef(x["a"], x["a"] ** 2)[0, 1] ** 2 < 0.1


def test_pure_noise_seems_to_matter_no_more_often_than_is_said(few_draws: None) -> None:
    chances, smallest, alone = [], [], []
    for seed in range(200):
        inputs = columns(drawn(24, seed)) | {"choice": choice_columns(list("wxyz" * 6))}
        noise = np.random.default_rng(1000 + seed).standard_t(3, 24)  # heavier tails than the normal's
        found = shares(inputs, noise, list(inputs), seed)
        assert all(share.total[0] >= share.alone[0] for share in found.values())
        chances += [share.chance for share in found.values()]
        alone += [share.alone[0] for share in found.values()]
        smallest.append(min(holm([share.chance for share in found.values()])))
    assert np.mean(np.array(smallest) <= 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
    assert np.mean(np.array(chances) <= 0.2) == pytest.approx(0.2, abs=0.05)  # 0 would be a test that never speaks
    assert np.mean(alone) < 0.05  # shares below 0 are cut off there


def test_intervals_hold_the_truth_about_as_often_as_they_say(few_draws: None) -> None:
    held = []
    for seed in range(100):
        x = drawn(40, seed)
        noise = np.random.default_rng(1000 + seed).normal(0, np.sqrt(1 / 3), 40)
        found = shares(columns(x), x["a"] + noise, "ab", seed)
        held += [found["a"].alone[1] <= 0.5 <= found["a"].alone[2], found["b"].alone[1] == 0]
    assert np.mean(held) >= 0.9


def test_a_share_of_one_fifth_is_never_surely_little(few_draws: None) -> None:
    ends = []
    for seed in range(100):
        x = drawn(40, seed)
        noise = np.random.default_rng(1000 + seed).normal(0, np.sqrt(4 / 9), 40)
        ends.append(shares(columns(x), np.sqrt(1 / 3) * x["a"] + noise, "a", seed)["a"].total[2])
    assert np.mean(np.array(ends) < 0.1) <= 0.02


def test_what_others_explain_is_left_out_as_ridge_without_each_result_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variance_shares, "PENALTIES", (0.1,))
    x = np.hstack(list(columns(drawn(20, seed=11)).values()))
    results = 3 * x[:, 0] + np.random.default_rng(12).normal(size=20)
    apart = [np.arange(20) != i for i in range(20)]
    fits = [Ridge(alpha=0.1 * 20).fit(x[rest], results[rest]) for rest in apart]
    errors = [results[i] - fit.predict(x[[i]])[0] for i, fit in enumerate(fits)]
    assert unexplained(results, x) == pytest.approx(np.array(errors) * 19 / 20)  # without columns: minus the mean


def test_columns_that_explain_nothing_take_nothing_away() -> None:
    results = np.tile([1.0, -1.0], 10)
    unrelated = numeric_columns(np.repeat(np.arange(10.0), 2))
    assert unexplained(results, unrelated) == pytest.approx(results)


def test_columns_have_mean_0_and_variance_1_and_do_not_repeat_each_other() -> None:
    for made in (numeric_columns(np.array([1.0, 2, 4, 8, 9])), choice_columns(["a", "b", "c", "a", "b"])):
        assert made.shape == (5, 2)
        assert made.mean(axis=0) == pytest.approx([0, 0], abs=1e-12)
        assert made.T @ made / 5 == pytest.approx(np.eye(2))
    assert numeric_columns(np.array([1.0, 1, 2, 2])).shape == (4, 1)  # of two values a line says all


def test_the_same_seed_gives_the_same_shares_and_another_one_others() -> None:
    x = columns(drawn(20, seed=13))
    one, same, other = (shares(x, np.arange(20.0), "ab", seed) for seed in (1, 1, 2))
    assert one == same != other


def test_holm_adjusts_as_in_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
