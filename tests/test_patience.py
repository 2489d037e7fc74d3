import pytest

from core.errors import UserError
from core.patience import HASTE, Patience

FULL = OSError(28, "No space left on device")


def failing(times, error=FULL):
    calls = []

    def action():
        calls.append(1)
        if len(calls) <= times:
            raise error
        return len(calls)

    return action


def test_what_fails_for_a_while_is_done_in_the_end_and_both_are_said(monkeypatch):
    monkeypatch.setattr("core.patience.RETRY_SECONDS", 0.01)
    said = []
    assert Patience(said.append, 60.0)(failing(3), "runs/a/curves.csv") == 4
    assert len(said) == 2
    assert said[0].startswith("runs/a/curves.csv: No space left on device; trying again for up to 60 s")
    assert said[1].startswith("runs/a/curves.csv: written after")


def test_what_fails_for_too_long_is_one_line_that_says_what_to_do():
    patience = Patience(lambda _: None, 0.2, "; go on with --resume a")
    with pytest.raises(UserError, match=r"^x: No space left on device, for \d+ s; go on with --resume a$"):
        patience(failing(10**6), "x")


def test_other_errors_are_not_waited_for():
    with pytest.raises(ValueError, match="no"):
        Patience(lambda _: None)(failing(1, ValueError("no")), "x")


def test_haste_tries_once():
    action = failing(1)
    with pytest.raises(UserError):
        HASTE(action, "x")
    assert action() == 2
