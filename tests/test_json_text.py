import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.json_text import is_number, parse_json, read_json


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda p: st.lists(p) | st.dictionaries(st.text(), p)
    )
)
def test_what_json_writes_is_read_as_json_reads_it(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json("\ufeff" + json.dumps(value, indent=1).replace("\n", "\r\n")) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b'{"a": 1, "a": 2}', "key 'a' is given twice"),
        (b'[{"b": {"a": 1, "a": 1}}]', "key 'a' is given twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"9" * 5000, "4300 digits"),
        (b"\xff\xfe{}", "invalid start byte"),
        ("{}".encode("utf-16"), "invalid start byte"),
        (b"{} {}", "Extra data"),
    ],
    ids=range(10),
)
def test_what_is_not_json_is_one_line_that_names_the_file(tmp_path, content, reason):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.json: not JSON \(.*{reason}"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_cannot_be_read_is_one_line_that_names_the_file(tmp_path, is_folder):
    if is_folder:
        (tmp_path / "a.json").mkdir()
    with pytest.raises(UserError, match=r"a\.json: cannot be read"):
        read_json(tmp_path / "a.json")


def test_true_and_text_are_no_numbers():
    assert [is_number(value) for value in (1, 1.5, True, "1", None, [1])] == [True, True] + [False] * 4
