"""Options that several scripts share."""

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
def test_whole_networks_are_trained_where_trials_have_a_gpu_and_it_is_said_why(given, gpus, profile, said) -> None:
    assert picked_profile(given, gpus) == (profile, said)


@pytest.mark.parametrize("gpus", [0.0, 1.0])
@pytest.mark.parametrize("profile", Profile)
def test_a_profile_that_was_asked_for_is_taken_whatever_the_machine_has(profile: Profile, gpus: float) -> None:
    assert picked_profile({"profile": str(profile)}, gpus) == (profile, f"profile {profile}")
