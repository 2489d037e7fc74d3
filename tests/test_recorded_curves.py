import pytest

from core.errors import UserError
from core.objective import Objective
from core.patience import HASTE
from tune.ledger import Ledger
from tune.recorded_curves import read_curves

HEADER = "trial,epoch,relative_error,val_nme_pct,seconds_per_epoch\n"


def test_lines_come_back_as_numbers_and_a_half_line_at_the_end_is_left_out(tmp_path):
    path = tmp_path / "curves.csv"
    path.write_bytes((HEADER + "0,1,0.5,,2\n3,12,0.25,7.5,1e-1\r\n0,2,0.4,").encode())
    assert read_curves(path) == [
        {"trial": 0, "epoch": 1, "relative_error": 0.5, "seconds_per_epoch": 2.0},
        {"trial": 3, "epoch": 12, "relative_error": 0.25, "val_nme_pct": 7.5, "seconds_per_epoch": 0.1},
    ]


@pytest.mark.parametrize("content", ["", HEADER, HEADER[:9]])
def test_without_a_whole_line_there_is_no_epoch(tmp_path, content):
    (tmp_path / "curves.csv").write_text(content)
    assert read_curves(tmp_path / "curves.csv") == []


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("trial,epoch\n0,1\n", "line 1: must name each column once"),
        ("trial,trial,epoch,seconds_per_epoch\n0,0,1,1\n", "line 1: must name each column once"),
        (HEADER + "0,1,0.5,,2\n0,2,0.5\n", "line 3: must hold 5 values, got 3"),
        (HEADER + "0,1,0.5,,2,9\n", "line 2: must hold 5 values, got 6"),
        (HEADER + "\n", "line 2: must hold 5 values, got 0"),
        (HEADER + "a,1,0.5,,2\n", "line 2: trial must be a whole number, got 'a'"),
        (HEADER + "0,1.5,0.5,,2\n", "line 2: epoch must be a whole number"),
        (HEADER + "0,,0.5,,2\n", "line 2: epoch must be a whole number"),
        (HEADER + f"0,{'9' * 5000},0.5,,2\n", "line 2: epoch must be a whole number"),
        (HEADER + "0,1,0.5,,\n", "line 2: seconds_per_epoch must be a finite number, got ''"),
        (HEADER + "0,1,nan,,2\n", "line 2: relative_error must be a finite number, got 'nan'"),
        (HEADER + "0,1,\x00,,2\n", "line 2: relative_error must be a finite number"),
        (HEADER + '0,1,"0.5,,2\n', "line 2: must be comma-separated"),
        ("\ud800", "must be UTF-8"),
    ],
)
def test_a_damaged_file_is_one_line_that_says_where_and_it_stays_as_it_is(tmp_path, content, rule):
    path = tmp_path / "curves.csv"
    path.write_bytes(before := (content + "0,9").encode(errors="surrogatepass"))
    ledger = Ledger(tmp_path / "trials.csv", path, Objective("relative_error"), HASTE)
    with pytest.raises(UserError, match=rf"curves\.csv(, |: ){rule}"):
        ledger.restore_curves()
    assert path.read_bytes() == before
