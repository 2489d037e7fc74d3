import pytest
from test_openings import SEARCH

from core.errors import UserError
from core.search_record import WRITTEN, check_search_record

WHOLE = {**SEARCH, "weights": "w", "command": "c", "baseline_validation": {"nme_pct": 45.0}}


def test_what_a_search_writes_passes_as_it_is():
    assert check_search_record(WHOLE, "a") == WHOLE
    assert check_search_record(SEARCH | {"baseline_validation": None}, "a")


@pytest.mark.parametrize("key", WRITTEN)
def test_a_missing_value_is_named(key):
    with pytest.raises(UserError, match=f"^a: not written by a search \\(no '{key}' in it\\)"):
        check_search_record({name: value for name, value in WHOLE.items() if name != key}, "a")


@pytest.mark.parametrize("data", [None, 3, [], "plan", ["plan"]])
def test_what_is_no_mapping_is_not_written_by_a_search(data):
    with pytest.raises(UserError, match=r"^a: not written by a search"):
        check_search_record(data, "a")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("plan", 3),
        ("plan", []),
        ("workers", {}),
        ("workers", {"count": "1", "gpus": 0}),
        ("workers", {"count": True, "gpus": 0}),
        ("workers", {"count": 1, "gpus": float("nan")}),
        ("precision", "fp64"),
        ("precision", ["fp32"]),
        ("data_fingerprint", 1),
        ("weights", 1),
        ("command", None),
        ("baseline_validation", {"nme_pct": "45"}),
        ("baseline_validation", 3),
    ],
)
def test_a_value_of_another_kind_is_named_with_its_rule(key, value):
    with pytest.raises(UserError, match=f"^a: {key} must be .*, got "):
        check_search_record(WHOLE | {key: value}, "a")
