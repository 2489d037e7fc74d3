"""Which choices of a search mattered: ``importance.csv``, what each row decides, and the same in words."""

import re
from enum import StrEnum
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd

from core.checks import shown
from core.errors import UserError
from core.variance_shares import Share

SURE = 0.05  # the chance at which noise is taken for noise
LITTLE = 0.1  # of the variance: what matters less is not worth a decision
SHARES = ("alone", "alone_lo", "alone_hi", "total", "total_lo", "total_hi")
DRAWN = "drawn"
COLUMNS = ("branch", "trials", "diverged", "epochs", DRAWN, "objective", "parameter", *SHARES, "chance", "verdict")
"""A row is a parameter in one branch of the space, among ``trials`` in which all of the branch is active.

``alone``: the share of the variance of ranks that goes with it by itself; ``total``: and in pairs with others; each
with the ends of its 95 % interval. ``chance``: that noise in this branch would look like it for any parameter; it
holds for trials that were ``drawn`` independently, and not quite for those that follow others.
"""


INDEPENDENTLY, FOLLOWING = "independently", "following others"
WORDS, WORD = (DRAWN, "branch", "objective", "parameter"), r"[A-Za-z0-9_=., +-]{1,200}"
COUNTS, COUNT = ("trials", "diverged", "epochs"), r"[0-9]{1,9}"
# Both become part of pages and figures, in which a sign may mean something.


class Verdict(StrEnum):
    """What is known of a parameter in a branch."""

    MATTERS = "matters"
    LITTLE = "little"
    UNTOLD = "cannot tell"
    FEW = "too few trials"


KNOWN = (Verdict.MATTERS, Verdict.LITTLE)


def verdict(share: Share, chance: float, many: bool) -> Verdict:
    """What a share decides.

    Little: with pairs and at the upper end of its interval it is below 10 % of the variance, among many trials.
    Matters: it is not little, and noise would look like it with a probability of 5 % at most.

    Args:
        chance: :attr:`Share.chance`, adjusted for how many parameters are judged.
        many: whether there are enough trials for an interval to know what the other parameters leave open.
    """
    if many and share.total[2] < LITTLE:
        return Verdict.LITTLE
    return Verdict.MATTERS if chance <= SURE else Verdict.UNTOLD


def read_importance(path: Path) -> pd.DataFrame:
    """The table that a search wrote; empty if there is none.

    Raises:
        UserError: the file is damaged: its row, and the rule that it breaks.
    """
    if not path.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    try:
        table = pd.read_csv(path, dtype={"branch": str, "parameter": str, "objective": str, "verdict": str})
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    if DRAWN not in table:
        table[DRAWN] = INDEPENDENTLY  # as nearly all were, by versions that did not say so
    lacking = [name for name in COLUMNS if name not in table]
    if lacking:
        raise UserError(f"{path}: not written by a search (no column {lacking[0]})")
    for line, (_, row) in enumerate(table.iterrows(), 2):
        for name in COLUMNS:
            if not _holds(name, row[name], row["verdict"] == Verdict.FEW):
                raise UserError(f"{path}, line {line}: {name} cannot be {shown(row[name])}")
    return table[list(COLUMNS)]


def _holds(name: str, value: Any, few: bool) -> bool:
    """Whether a column may have this value; ``few``: where its row has no numbers."""
    if name == "verdict":
        return value in list(Verdict)
    if name in WORDS:
        return isinstance(value, str) and re.fullmatch(WORD, value) is not None
    if name in COUNTS:
        return re.fullmatch(COUNT, str(value)) is not None
    return bool(pd.isna(value)) if few else isinstance(value, Real) and 0 <= float(value) <= 1


def can_tell(table: pd.DataFrame) -> bool:
    """Whether there is a parameter with a share."""
    return bool((table["verdict"] != Verdict.FEW).any())


def sentences(table: pd.DataFrame) -> list[str]:
    """What the table says: how trials were compared, a sentence for each branch of which something is known, and one
    for all the others. If nothing is known of any, one sentence; nothing of an empty table.
    """
    if table.empty:
        return []
    branches = [rows for _, rows in table.groupby("branch", sort=False)]
    small = [rows for rows in branches if (rows["verdict"] == Verdict.FEW).all()]
    if len(small) == len(branches):
        return [f"too few trials ({table['trials'].max()}) to tell which choices matter"]
    known = [rows for rows in branches if rows["verdict"].isin(KNOWN).any()]
    if not known:
        return [f"{table['trials'].max()} trials cannot tell which choices matter (intervals: importance.csv)"]
    told = [f"{rows['branch'].iloc[0]} ({_count(rows)}): {_told(rows)}" for rows in known]
    shut = [rows for rows in branches if not any(rows is other for other in known + small)]
    if shut:
        told.append("cannot be told: " + "; ".join(f"{_names(r)} ({r['branch'].iloc[0]}, {_count(r)})" for r in shut))
    if small:
        listed = ", ".join(f"{rows['branch'].iloc[0]} ({rows['trials'].iloc[0]})" for rows in small)
        told.append(f"too few trials to tell: {listed}")
    return [_heading(table), *told]


def _heading(table: pd.DataFrame) -> str:
    epochs = int(table["epochs"].iloc[0])
    compared = f"the first {epochs} epochs" if epochs > 1 else "the first epoch"
    hint = "; a hint only, since trials were drawn after what others had shown" if _following(table) else ""
    return (
        f"what mattered, by {table['objective'].iloc[0]} at the best of {compared} "
        f"(share of the variance of ranks, 95 % interval{hint}):"
    )


def _following(table: pd.DataFrame) -> bool:
    return bool((table[DRAWN] == FOLLOWING).any())


def _count(rows: pd.DataFrame) -> str:
    diverged = int(rows["diverged"].iloc[0])
    return f"{rows['trials'].iloc[0]} trials" + (f", {diverged} of them last because they diverged" if diverged else "")


def _names(rows: pd.DataFrame) -> str:
    return ", ".join(map(str, rows["parameter"]))


def _told(rows: pd.DataFrame) -> str:
    matters = rows[rows["verdict"] == Verdict.MATTERS].sort_values("alone", ascending=False, kind="stable")
    little, rest = rows[rows["verdict"] == Verdict.LITTLE], rows[~rows["verdict"].isin(KNOWN)]
    parts = [f"{row['parameter']} matters ({_share_of(row)})" for _, row in matters.iterrows()]
    parts += [f"{_names(little)} {'matters' if len(little) == 1 else 'matter'} little"] if len(little) else []
    parts += [f"{_names(rest)} cannot be told"] if len(rest) else []
    return "; ".join(parts)


def _share_of(row: Any) -> str:
    """The share alone, or with the others where only that is surely above 0."""
    paired = row["alone_lo"] == 0 and row["total_lo"] > 0
    name = "total" if paired else "alone"
    value, low, high = (f"{100 * row[name + end]:.0f}" for end in ("", "_lo", "_hi"))
    return f"{'with others ' if paired else ''}{value} %, {low} to {high}"
