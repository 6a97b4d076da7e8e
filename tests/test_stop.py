"""A signal ends the program from a safe place, with exit code 75."""

import os
import signal

import pytest

from clnet import stop


@pytest.fixture
def installed(monkeypatch):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)
    stop.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_stops_at_once(installed, number):
    with pytest.raises(stop.Stopped) as caught:
        os.kill(os.getpid(), number)
    assert caught.value.code == 75 and caught.value.cause == number.name


def test_no_library_can_swallow_it(installed):
    with pytest.raises(stop.Stopped):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:
            pytest.fail("caught as an ordinary error")


def test_deferred_waits_for_the_end_of_the_body(installed):
    done = []
    with pytest.raises(stop.Stopped), stop.deferred():
        with stop.deferred():
            os.kill(os.getpid(), signal.SIGUSR1)
            assert stop.requested()
        done.append("checkpoint")
    assert done == ["checkpoint"] and not stop.requested()


def test_second_signal_does_not_wait(installed):
    with pytest.raises(stop.Stopped), stop.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("still running")
    assert not stop.requested()


def test_handlers_of_others_stay(installed):
    def requeue(number, frame):
        return None

    signal.signal(signal.SIGUSR2, requeue)
    stop.install()
    assert signal.getsignal(signal.SIGUSR2) is requeue
