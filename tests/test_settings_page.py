"""docs/settings.md says of each setting what the code does."""

import re
from pathlib import Path

import pytest

from core.config import KEYS, Config, check_value
from core.errors import UserError
from search_spaces.catalogue import find_space
from tune.profile import PROFILES, Profile

PAGE = (Path(__file__).parents[1] / "docs" / "settings.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| .+ \|$", PAGE, re.MULTILINE)
RANGE = re.compile(r"(\S+) to (\S+)")


def test_each_setting_has_one_row_in_the_order_of_the_code():
    assert [key for key, _, _ in ROWS] == list(KEYS)


@pytest.mark.parametrize(("key", "values", "default"), ROWS, ids=[key for key, _, _ in ROWS])
def test_defaults_are_those_of_both_profiles(key, values, default):
    words = default.replace("`", "").split(" / ")
    said = [check_value(key, eval_fraction(word)) for word in words]
    plain = Config().flat()[key]
    assert (said * 2)[:2] == [PROFILES[profile].get(key, plain) for profile in (Profile.PAPER, Profile.FAST)]


def eval_fraction(word: str) -> str:
    over, _, under = word.partition("/")
    return str(float(over) / float(under)) if under else word


@pytest.mark.parametrize(("key", "values"), [row[:2] for row in ROWS if RANGE.fullmatch(row[1])])
def test_ranges_are_allowed_up_to_their_ends_and_no_further(key, values):
    low, high = RANGE.fullmatch(values).groups()
    assert float(check_value(key, low)) == float(low)
    assert float(check_value(key, high)) == float(high)
    beyond = (float(low) / 2 if 0 < float(low) < 1 else float(low) - 1, float(high) + 1)
    for value in beyond:
        with pytest.raises(UserError, match=f"{key} must be"):
            check_value(key, int(value) if value.is_integer() else value)


@pytest.mark.parametrize(("key", "values"), [row[:2] for row in ROWS if not RANGE.fullmatch(row[1])])
def test_choices_are_all_that_there_are(key, values):
    listed = values.replace("`", "").split(", ")
    assert [str(check_value(key, value)).lower() for value in listed] == listed
    with pytest.raises(UserError) as refusal:
        check_value(key, "6")
    offered = re.search(r"must be (?:one of |an integer from )?(.+), got", str(refusal.value)).group(1)
    assert sorted(re.split(r", | or | to ", offered)) == sorted(listed)


def test_the_space_on_the_page_is_one(tmp_path):
    [text] = re.findall(r"```json\n(.+?)```", PAGE, re.DOTALL)
    (tmp_path / "losses.json").write_text(text)
    space = find_space(str(tmp_path / "losses.json"))
    assert list(space.parameters) == ["lr", "landmark_loss", "wing_w"]
    assert [space.is_active("wing_w", {"landmark_loss": loss}) for loss in ("l1", "wing")] == [False, True]
