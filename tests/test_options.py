"""Options that several scripts share."""

import math

import pytest

from tune.options import picked_profile
from tune.profile import Profile

WHY = "(--profile chooses)"


@pytest.mark.parametrize("given", [{}, {"profile": "auto"}], ids=["not given", "auto"])
@pytest.mark.parametrize(
    ("gpus", "profile", "said"),
    [
        (1.0, Profile.PAPER, f"profile paper, because trials have a GPU {WHY}"),
        (0.5, Profile.PAPER, f"profile paper, because trials have a GPU {WHY}"),
        (0.0, Profile.FAST, f"profile fast, because trials have no GPU {WHY}"),
    ],
)
def test_whole_networks_are_trained_where_trials_have_a_gpu_and_it_is_said_why(
    monkeypatch, given, gpus, profile, said
) -> None:
    monkeypatch.setattr("tune.options.gpu_bytes", lambda: math.inf)
    assert picked_profile(given, gpus) == (profile, said)


@pytest.mark.parametrize(
    ("gigabytes", "gpus", "profile", "words"),
    [
        (6, 1.0, Profile.FAST, "a trial has 6.0 GB of a GPU, too little for some whole networks"),
        (24, 0.25, Profile.FAST, "a trial has 6.0 GB of a GPU, too little for some whole networks"),
        (24, 0.5, Profile.PAPER, "trials have a GPU"),
        (8, 2.0, Profile.PAPER, "trials have a GPU"),
    ],
)
def test_on_a_gpu_with_little_memory_for_each_trial_heads_alone_are_trained(
    monkeypatch, gigabytes, gpus, profile, words
) -> None:
    monkeypatch.setattr("tune.options.gpu_bytes", lambda: gigabytes * 1e9)
    assert picked_profile({}, gpus) == (profile, f"profile {profile}, because {words} {WHY}")


@pytest.mark.parametrize("gpus", [0.0, 1.0])
@pytest.mark.parametrize("profile", Profile)
def test_a_profile_that_was_asked_for_is_taken_whatever_the_machine_has(profile: Profile, gpus: float) -> None:
    assert picked_profile({"profile": str(profile)}, gpus) == (profile, f"profile {profile}")
