"""What README.md and docs/searching.md tell people to type, and what they say can be varied."""

import re
import shlex
from pathlib import Path

import pytest

from core.errors import UserError
from scripts.search import parser
from search_spaces.catalogue import find_space
from search_spaces.parameter import Choice, typed
from search_spaces.parts import PARTS
from tune.options import check_options
from tune.planning import new_plan
from tune.profile import parse_settings

ROOT = Path(__file__).parents[1]
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/searching.md", "docs/cluster.md")
}
COMMANDS = [
    (name, line)
    for name, page in PAGES.items()
    for block in re.findall(r"^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if re.search(r"scripts/search\.py .*--(space|resume) ", line) and "$@" not in line
]


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[line[:60] for _, line in COMMANDS])
def test_every_search_that_the_pages_tell_of_can_be_begun(page: str, command: str) -> None:
    words = shlex.split(command, comments=True)
    words = [word for word in words[words.index("scripts/search.py") + 1 :] if word != "--"]
    given = vars(parser().parse_args(words))
    check_options(given)
    if "resume" not in given:
        plan, _ = new_plan(given, find_space(given["space"]), parse_settings(given.get("set", [])), 0.0)
        assert plan.search_space().parameters


def test_the_pages_have_searches_to_look_at() -> None:
    assert len(COMMANDS) >= 8


def rows() -> dict[str, str]:
    """What the table of parts in docs/searching.md says is searched, by part; parts in one row have a list each."""
    table = PAGES["docs/searching.md"].split("| part | values searched |")[1].split("\n\n")[0]
    found = {}
    for names, values in re.findall(r"^\| (`.+?`) \| (.+?) \|", table, re.MULTILINE):
        keys = re.findall(r"`(\w+)`", names)
        said = values.split("; ")
        found |= dict(
            zip(keys, said if len(said) >= len(keys) else [said[0]] + [said[-1]] * (len(keys) - 1), strict=False)
        )
    return found


def test_the_table_of_parts_has_them_all_with_the_values_that_are_searched() -> None:
    said = rows()
    assert said.keys() == PARTS.keys()
    for name, part in PARTS.items():
        words = said[name].replace("`", "")
        parameter = part.parameter
        if isinstance(parameter, Choice):
            assert words.split(", ") == [typed(value).removesuffix(".0") for value in parameter.values], name
        else:
            low, high = re.match(r"(\S+) to (\S+)", words).groups()
            assert (float(low), float(high)) == (parameter.low, parameter.high), name
            assert ("logarithmic" in words) is parameter.log, name


def test_a_metric_that_a_model_of_the_space_lacks_is_refused_with_a_way_out() -> None:
    given = {"space": "joint", "objective": "val_nme_pct"}
    with pytest.raises(UserError, match="the gender model in this space has no landmarks task; set architecture to la"):
        new_plan(given, find_space("joint"), {}, 0.0)
    with pytest.raises(UserError, match="the gender model in this space has no landmarks task; take another --space"):
        new_plan(given | {"space": "gender"}, find_space("gender"), {}, 0.0)


@pytest.mark.parametrize(("blocks", "words"), [(0, " with 4 and 5 frozen blocks"), (4, ""), (5, "")])
def test_where_no_part_was_measured_the_start_says_with_what_they_were(blocks: int, words: str) -> None:
    _, told = new_plan({"space": "joint"}, find_space("joint"), {"frozen_blocks": blocks}, 1.0)
    assert any(f"joint has what was measured to help{words}: flip=true" in line for line in told)
