"""``run`` as a process: signals, exit codes, and streams as they really are."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # processes of their own


def _last(err: str) -> dict[str, object]:
    """The last line of the log."""
    return dict(json.loads(err.splitlines()[-1]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_phase_1_is_cancelled(tiny, number):
    """Exit code 3; no worker was called, everything was closed."""
    service = tiny("run", check="hang")
    service.until("check acme/shop")

    service.signal(number)

    code, _, err = service.end()
    assert (code, "Traceback" in err) == (3, False)
    assert f"preflights cancelled: 1 passed, 1 still failing ({number.name})" in err
    assert not [note for note in service.notes if note.startswith(("work", "ready"))]
    assert service.notes[-3:] == ["on_stop", "shutdown", "close"]


def test_a_signal_while_opening_is_cancelled_and_the_last_line_says_why(tiny):
    """Exit code 3; what was not done is not called done."""
    service = tiny("run", opening="hang")
    service.until("open")

    service.signal(signal.SIGTERM)

    code, _, err = service.end()
    assert (code, "Traceback" in err) == (3, False)
    assert "preflights cancelled: 0 passed, 2 never started (stopped while opening)" in err
    assert _last(err)["reason"] == "stopped while opening"


def test_the_last_line_is_the_end_of_the_service(tiny):
    """What was folded until then stands before it."""
    code, _, err = tiny("run", "--once", work="warn").end()

    assert code == 0
    assert "the shop is far away (repeated 2 times" in err
    assert (_last(err)["message"], _last(err)["code"]) == ("service.stopped", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_phase_2_drains_what_is_in_flight(tiny, number):
    """Exit code 0; the runs end by themselves, then everything is closed."""
    service = tiny("run", work="slow")
    service.until("work acme/till")

    service.signal(number)

    code, _, err = service.end()
    assert (code, "Traceback" in err) == (0, False)
    assert {"worked acme/shop", "worked acme/till"} <= set(service.notes)
    assert service.notes[-3:] == ["on_stop", "shutdown", "close"]


def test_a_second_signal_forces_the_end(tiny):
    """130 while the first one still waits for the drain."""
    service = tiny("run", work="hang")
    service.until("work acme/till")

    service.signal(signal.SIGTERM)
    while "runner.stop_requested" not in service.process.stderr.readline():
        assert service.process.poll() is None
    service.signal(signal.SIGINT)

    code, _, err = service.end()
    assert code == 130
    assert "forced to end by a second signal (SIGINT)" in err


@pytest.mark.parametrize("phase", ["check", "work"])
def test_a_second_signal_works_when_the_event_loop_is_blocked(tiny, phase):
    """``while True: pass`` in somebody's code."""
    service = tiny("run", **{phase: "block"})
    service.until(f"{phase} acme/shop")

    service.signal(signal.SIGTERM, signal.SIGINT)

    assert service.end()[0] == 130


def test_a_run_that_ignores_its_cancellation_is_named_and_everything_else_is_closed(tiny):
    """Exit code 4 behind the drain deadline; hooks, modules and managed objects had their turn."""
    service = tiny("run", work="stubborn", shutdown=1.0)
    service.until("work acme/till")

    service.signal(signal.SIGTERM)

    code, _, err = service.end()
    assert code == 4
    last = err.splitlines()[-1]
    assert last.startswith("abandoned, because they ignored their cancellation: ")
    assert {"worker:poll:acme/shop", "worker:poll:acme/till"} == set(last.partition(": ")[2].split(", "))
    assert service.notes[-3:] == ["on_stop", "shutdown", "close"]


def test_a_run_that_is_cancelled_by_the_drain_deadline_is_no_failure(tiny):
    """It heeds its cancellation: exit code 0."""
    service = tiny("run", work="hang", shutdown=1.0)
    service.until("work acme/till")

    service.signal(signal.SIGTERM)

    code, _, err = service.end()
    assert (code, "Traceback" in err) == (0, False)


def test_for_ends_so_long_after_the_preflights(tiny):
    """Exit code 0, each worker has run."""
    service = tiny("run", "--for", "0.2")

    code, out, err = service.end()

    assert (code, out) == (0, "")
    assert {"worked acme/shop", "worked acme/till"} <= set(service.notes)
    assert "ran for 0.2 s" in err


@pytest.mark.parametrize("length", ["0", "-1", "nan", "inf", "soon"])
def test_for_wants_seconds(tiny, length):
    """Wrong usage, said in one line."""
    code, _, err = tiny("run", f"--for={length}").end()

    assert code == 2
    assert f"'{length}' is no number of seconds above 0" in err


def test_once_ends_when_each_worker_has_succeeded_once(tiny):
    """Exit code 0, by itself."""
    service = tiny("run", "--once")

    code, _, _ = service.end()

    assert code == 0
    assert sorted(note for note in service.notes if note.startswith("work")) == [
        "work acme/shop",
        "work acme/till",
        "worked acme/shop",
        "worked acme/till",
    ]


def test_a_failed_preflight_ends_with_1_and_the_report(tiny):
    """The report names the tenant and the reason; no worker was called."""
    service = tiny("run", check="refuse")

    code, _, err = service.end()

    assert (code, "Traceback" in err) == (1, False)
    assert "preflights failed: 1 passed, 1 failed" in err
    assert "preflight:reachable:acme/shop: PermanentFailure: the token was revoked" in err
    assert not [note for note in service.notes if note.startswith(("work", "ready"))]


def test_workers_that_fail_for_good_end_with_1(tiny):
    """No unit is left; the last one is named."""
    code, _, err = tiny("run", work="refuse").end()

    assert code == 1
    assert re.search("worker failed: worker:poll:acme/(shop|till): PermanentFailure: the token was revoked", err)


def test_on_a_terminal_there_is_a_bar_and_the_logs_are_for_people(tiny):
    """No JSON, no traceback, and the cursor is shown again."""
    ours, theirs = pty.openpty()
    service = tiny("run", "--once", check="slow", stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)

    seen = b""
    while chunk := _read(ours):
        seen += chunk

    code = service.end()[0]
    os.close(ours)
    text = seen.decode()
    assert code == 0
    assert "preflights" in text
    assert "2/2" in text
    assert "service.ready" in text
    assert "Traceback" not in text
    assert '{"' not in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is gone
        return b""


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_stream_without_a_reader_is_no_reason_to_fail(tiny, closed):
    """The service works on, and stops as it always does."""
    reading, writing = os.pipe()
    os.close(reading)
    service = tiny("run", **{closed: writing})
    os.close(writing)
    service.until("worked acme/till")

    service.signal(signal.SIGTERM)

    code, _, err = service.end()
    assert (code, "Traceback" in err) == (0, False)
    assert service.notes[-3:] == ["on_stop", "shutdown", "close"]


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_streams_that_are_closed_from_the_start_are_no_reason_to_fail(tiny, tmp_path, closed):
    """As some supervisors start their services."""
    tiny("plan").end()  # writes the files
    command = f'exec "$0" -m orchestrator --service tiny:Tiny --config tiny.toml run --once {closed}'
    with open(tmp_path / "notes", "wb") as notes:
        environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "TINY_NOTES": str(notes.fileno())}
        done = subprocess.run(
            ["/bin/sh", "-c", command, sys.executable],
            cwd=tmp_path,
            env={**os.environ, **environment},
            pass_fds=[notes.fileno()],
            check=False,
            timeout=60,
        )

    assert done.returncode == 0
    assert "worked acme/till" in (tmp_path / "notes").read_text().splitlines()


@pytest.mark.parametrize("phase", ["check", "work"])
def test_a_second_signal_works_when_standard_error_has_no_reader(tiny, phase):
    """There is nobody to be told, the process ends all the same."""
    reading, writing = os.pipe()
    os.close(reading)
    service = tiny("run", stderr=writing, **{phase: "block"})
    os.close(writing)
    service.until(f"{phase} acme/shop")

    service.signal(signal.SIGTERM, signal.SIGINT)

    assert service.end()[0] == 130
