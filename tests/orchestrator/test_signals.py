"""The first signal asks for a stop in the event loop; handlers are as before when it is over."""

import signal
import threading

import anyio
import pytest

from orchestrator.signals import STOP_SIGNALS, stopping_by_signal

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("number", STOP_SIGNALS)
async def test_the_first_signal_stops_in_the_event_loop(number):
    """By its name; the loop is woken up for it, and anyio can be used there."""
    asked, stopped = [], anyio.Event()

    def stop(name):
        asked.append(name)
        stopped.set()

    with stopping_by_signal(stop), anyio.fail_after(10):
        signal.raise_signal(number)
        await stopped.wait()

    assert asked == [number.name]


async def test_the_handlers_are_as_before_when_it_is_over():
    """Also when the inside raises."""
    before = [signal.getsignal(number) for number in STOP_SIGNALS]

    def fail():
        assert [signal.getsignal(number) for number in STOP_SIGNALS] != before
        raise KeyError("inside")

    with pytest.raises(KeyError), stopping_by_signal(print):
        fail()

    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


def test_outside_the_main_thread_it_does_nothing():
    """A service that is embedded in a thread of another program gets no signals, and breaks none."""
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    seen = []

    async def inside() -> None:
        with stopping_by_signal(print):
            seen.append([signal.getsignal(number) for number in STOP_SIGNALS])

    thread = threading.Thread(target=anyio.run, args=(inside,))
    thread.start()
    thread.join()

    assert seen == [before]
