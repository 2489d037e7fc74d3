import os
import pickle
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.errors import UserError
from core.run_folder import RunFolder
from tune.interrupt import SIGNALS, Interrupt

RUN = RunFolder(Path("runs/a"))


@pytest.fixture(autouse=True)
def heard():
    """The tests themselves may have been started with nohup, or as a job in the background, which ignore some."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_once_asks_for_an_end_and_twice_ends_at_once(number):
    asked, before, said = number, signal.getsignal(number), []
    with Interrupt(RUN, said.append) as interrupt:
        interrupt.check()
        assert not interrupt.stop_all()
        os.kill(os.getpid(), number)
        assert interrupt.stop_all()
        assert len(said) == 1
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
        if number == signal.SIGHUP:  # which a closed terminal may send twice
            signal.raise_signal(number)
            number = signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(asked) is before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_the_process_was_started_to_ignore_stays_ignored(number):
    before = signal.signal(number, signal.SIG_IGN)  # as nohup does with SIGHUP
    try:
        with Interrupt(RUN, print) as interrupt:
            os.kill(os.getpid(), number)
            assert not interrupt.stop_all()
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_run_that_another_driver_took_over_is_left_alone():
    interrupt = Interrupt(SimpleNamespace(lost="s3://b/a: another process has taken this run over"), print)
    assert interrupt.stop_all()
    with pytest.raises(UserError, match="has taken this run over"):
        interrupt.check()


def test_ray_can_write_it_down_with_the_handlers_in_place():
    with Interrupt(RUN, lambda _: None) as interrupt:
        pickle.dumps(interrupt)
