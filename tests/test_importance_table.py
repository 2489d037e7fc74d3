from pathlib import Path

import pandas as pd
import pytest

from core.errors import UserError
from core.importance_table import COLUMNS, SHARES, Verdict, read_importance, sentences, verdict
from core.variance_shares import Share

SHARES_AND_CHANCE = (*SHARES, "chance")


def row(parameter: str, kind: Verdict, alone=(0.62, 0.41, 0.78), total=(0.7, 0.5, 0.9), **more) -> dict:
    few = kind is Verdict.FEW
    numbers = (
        dict.fromkeys(SHARES_AND_CHANCE) if few else dict(zip(SHARES_AND_CHANCE, (*alone, *total, 0.01), strict=True))
    )
    common = {"branch": "multitask", "trials": 24, "diverged": 0, "epochs": 2, "drawn": "independently"}
    common |= {"objective": "relative_error"}
    return {**common, "parameter": parameter, **numbers, "verdict": str(kind), **more}


def table(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.mark.parametrize(
    ("total_hi", "chance", "expected"),
    [
        (0.3, 0.05, Verdict.MATTERS),
        (0.3, 0.06, Verdict.UNTOLD),
        (0.09, 0.5, Verdict.LITTLE),
        (0.09, 0.001, Verdict.LITTLE),  # surely there, and surely not worth a decision
        (0.1, 0.5, Verdict.UNTOLD),
    ],
)
def test_what_is_small_for_sure_is_little_and_what_noise_would_not_do_matters(total_hi, chance, expected):
    assert verdict(Share((0.05, 0.0, 0.08), (0.05, 0.0, total_hi), chance=1.0), chance, many=True) is expected


def test_too_few_trials_say_of_nothing_that_it_matters_little():
    small = Share((0.05, 0.0, 0.08), (0.05, 0.0, 0.09), chance=1.0)
    assert verdict(small, 0.5, many=False) is Verdict.UNTOLD
    assert verdict(small, 0.001, many=False) is Verdict.MATTERS


def test_trials_that_follow_others_are_a_hint_only_and_older_files_do_not_say_so(tmp_path: Path):
    path = tmp_path / "importance.csv"
    made = table(row("lr", Verdict.MATTERS, drawn="following others"))
    assert "; a hint only, since trials were drawn after what others had shown" in sentences(made)[0]
    made.drop(columns="drawn").to_csv(path, index=False)
    assert read_importance(path)["drawn"].tolist() == ["independently"]


def test_words_say_what_matters_first_and_most_first():
    told = sentences(
        table(
            row("optimizer", Verdict.MATTERS, (0.1, 0.0, 0.3), (0.29, 0.11, 0.53)),
            row("lambda2", Verdict.LITTLE),
            row("lr", Verdict.MATTERS),
            row("lambda1", Verdict.UNTOLD),
        )
    )
    assert told == [
        "what mattered, by relative_error at the best of the first 2 epochs "
        "(share of the variance of ranks, 95 % interval):",
        "multitask (24 trials): lr matters (62 %, 41 to 78); optimizer matters (with others 29 %, 11 to 53); "
        "lambda2 matters little; lambda1 cannot be told",
    ]


def test_branches_that_tell_nothing_share_a_line():
    known = row("lr", Verdict.MATTERS, branch="all models", diverged=2)
    shut = [row(name, Verdict.UNTOLD, branch="gender", trials=13) for name in ("lr", "optimizer")]
    small = row("wing_w", Verdict.FEW, branch="landmark_loss=wing", trials=5)
    told = sentences(table(known, *shut, small))
    assert told[1:] == [
        "all models (24 trials, 2 of them last because they diverged): lr matters (62 %, 41 to 78)",
        "cannot be told: lr, optimizer (gender, 13 trials)",
        "too few trials to tell: landmark_loss=wing (5)",
    ]


def test_where_nothing_is_known_that_is_all_that_is_said():
    rows = [row("lr", Verdict.UNTOLD), row("wing_w", Verdict.FEW, branch="landmark_loss=wing", trials=5)]
    assert sentences(table(*rows)) == ["24 trials cannot tell which choices matter (intervals: importance.csv)"]


def test_too_few_trials_everywhere_are_one_sentence():
    rows = [row("lr", Verdict.FEW, trials=8), row("wing_w", Verdict.FEW, branch="landmark_loss=wing", trials=1)]
    assert sentences(table(*rows)) == ["too few trials (8) to tell which choices matter"]
    assert sentences(table()) == []


def test_a_table_comes_back_from_its_file(tmp_path: Path):
    path = tmp_path / "importance.csv"
    made = table(row("lr", Verdict.MATTERS), row("wing_w", Verdict.FEW, branch="landmark_loss=wing"))
    made.to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_importance(path), made, check_dtype=False)
    table().to_csv(path, index=False)
    assert read_importance(path).empty
    assert read_importance(tmp_path / "of an older run").empty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "surely"}, "line 2: verdict cannot be 'surely'"),
        ({"alone_hi": 1.5}, "line 2: alone_hi cannot be"),
        ({"total": None}, "line 2: total cannot be"),
        ({"chance": "low"}, "line 2: chance cannot be 'low'"),
        ({"trials": -1}, "line 2: trials cannot be"),
        ({"trials": 2.5}, "line 2: trials cannot be"),
        ({"parameter": "$\\frac$"}, "line 2: parameter cannot be"),
        ({"branch": None}, "line 2: branch cannot be"),
        ({"verdict": "too few trials"}, "line 2: alone cannot be"),
    ],
)
def test_a_damaged_table_is_one_clear_line(tmp_path: Path, change: dict, message: str):
    path = tmp_path / "importance.csv"
    table({**row("lr", Verdict.MATTERS), **change}).to_csv(path, index=False)
    with pytest.raises(UserError) as caught:
        read_importance(path)
    assert str(caught.value).startswith(f"{path}, {message}")


@pytest.mark.parametrize(("content", "message"), [(b"a,b\n1,2\n", "no column branch"), (b"", "cannot be read")])
def test_another_file_is_refused(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "importance.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_importance(path)
