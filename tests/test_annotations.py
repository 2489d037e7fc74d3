from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.annotations import read_table
from core.errors import UserError

SAME_TABLE = {
    "official": ("t.txt", "2\nx y \na.jpg  1 -2\nb.jpg  3  4.5\n"),
    "no count": ("t.txt", "x y\na.jpg 1 -2\nb.jpg 3 4.5\n"),
    "image_id in the header": ("t.txt", "2\nimage_id x y\na.jpg 1 -2\nb.jpg 3 4.5\n"),
    "no last line end": ("t.txt", "x y\na.jpg 1 -2\nb.jpg 3 4.5"),
    "Windows": ("t.txt", "\ufeff2\r\nx y\r\na.jpg 1 -2\r\nb.jpg 3 4.5\r\n\r\n"),
    "tabs": ("t.txt", "x\ty\na.jpg\t1\t-2\nb.jpg\t3\t4.5\n"),
    "Kaggle": ("t.csv", "image_id,x,y\na.jpg,1,-2\nb.jpg, 3, 4.5\n"),
    "Kaggle, first column renamed": ("t.csv", "file,x,y\na.jpg,1,-2\nb.jpg,3,4.5\n"),
}


@pytest.mark.parametrize(("name", "text"), SAME_TABLE.values(), ids=SAME_TABLE)
def test_every_form_of_a_table_reads_alike(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    table = read_table(path, ("y",))
    assert table.columns == ("x", "y")
    assert table.file.tolist() == ["a.jpg", "b.jpg"]
    assert table.values.tolist() == [[1, -2], [3, 4.5]]
    assert table.columns_named(("y", "x")).tolist() == [[-2, 1], [4.5, 3]]
    line_of_b = text.split("\n").index(next(line for line in text.split("\n") if line.startswith("b.jpg"))) + 1
    assert table.place(1) == f"{path}, line {line_of_b} (b.jpg)"


@pytest.mark.parametrize("text", ["a.jpg 7\n", "1\na.jpg 7\n", "image_id number\na.jpg 7\n"])
def test_a_table_without_header_takes_the_given_columns(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.txt").write_text(text)
    table = read_table(tmp_path / "t.txt", ("identity",), header=False)
    assert table.columns == ("identity",)
    assert table.values.tolist() == [[7]]


def test_rows_of_another_table_are_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("x\nc 3\na 1\nb 2\n")
    (tmp_path / "some.txt").write_text("x\nb 0\nc 0\n")
    everything, some = read_table(tmp_path / "all.txt", ()), read_table(tmp_path / "some.txt", ())
    assert everything.values[everything.rows_of(some), 0].tolist() == [2, 3]
    with pytest.raises(UserError, match=r"all\.txt, line 3 \(a\): an image listed here must be listed in .*some\.txt"):
        some.rows_of(everything)


@given(
    st.lists(
        st.tuples(st.from_regex(r"[A-Za-z][A-Za-z0-9_ ()é-]*\.jpg", fullmatch=True), st.floats(-1e300, 1e300)),
        min_size=1,
        unique_by=lambda row: row[0],
    )
)
def test_any_file_names_and_numbers_come_back(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text("image_id,x\n" + "".join(f"{file},{value!r}\n" for file, value in rows), encoding="utf-8")
    table = read_table(path, ("x",))
    assert list(zip(table.file.tolist(), table.values[:, 0].tolist(), strict=True)) == rows


@given(st.binary(max_size=100) | st.text("ab1-. ,\n\r\t\x0b\x1b\u2028é/", max_size=60).map(str.encode), st.booleans())
def test_bytes_of_any_kind_give_a_table_or_one_line_that_names_the_file(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, header: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content)
    message = ""
    try:
        table = read_table(path, (), header=header)
        assert np.isfinite(table.values).all()
        assert len(table.values) == len(set(table.file.tolist())) > 0
    except UserError as error:
        message = str(error)
    assert message == "" or message.startswith(str(path))
    assert len(message.splitlines()) <= 1


def test_a_long_wrong_value_does_not_flood_the_message(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("x\na.jpg " + "z" * 100_000)
    with pytest.raises(UserError) as error:
        read_table(tmp_path / "t.txt", ("x",))
    assert len(str(error.value)) < len(str(tmp_path)) + 120
