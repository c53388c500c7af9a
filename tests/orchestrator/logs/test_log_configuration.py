"""Logs are set up once, with context on every line, and a stream that is gone does no harm."""

import contextvars
import io
import json
import logging
import os
import subprocess
import sys
import threading

import anyio
import pytest
from opentelemetry import trace

from orchestrator.logs import LineHandler, bind, configure, current


class Terminal(io.StringIO):
    encoding = "ascii"  # type: ignore[assignment]  # a terminal of the C locale

    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_json_and_a_terminal_gets_columns(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch):
    """The format is chosen by where it goes; colour only on a terminal, and not with NO_COLOR."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain = Terminal(), Terminal()
    logger = logging.getLogger("app")

    configure(service="svc", stream=stream)
    logger.warning("hello")
    configure(stream=coloured)
    logger.warning("hello")
    monkeypatch.setenv("NO_COLOR", "1")
    configure(stream=plain)
    logger.warning("hello")

    assert json.loads(stream.getvalue())["message"] == "hello"
    assert "\x1b[33mwarn \x1b[0m  hello" in coloured.getvalue()
    assert "warn   hello" in plain.getvalue()


def test_a_terminal_that_knows_ascii_only_is_not_sent_more():
    """The rest is escaped."""
    terminal = Terminal()
    configure(stream=terminal)

    logging.getLogger("app").warning("café ☃")

    assert "caf\\xe9 \\u2603" in terminal.getvalue()


def test_what_is_bound_is_on_every_line_inside(stream: io.StringIO):
    """Nested bindings add up and come off again; extra= goes first, None takes a field off."""
    configure(stream=stream)
    logger = logging.getLogger("app")

    with bind(phase="worker", tenant="a/b"):
        with bind(run_id="r1", phase=None):
            logger.info("inside", extra={"tenant": "c/d"})
        logger.info("around")
    logger.info("outside")

    inside, around, outside = map(json.loads, stream.getvalue().splitlines())
    assert {"run_id": "r1", "tenant": "c/d"}.items() <= inside.items()
    assert "phase" not in inside
    assert {"phase": "worker", "tenant": "a/b"}.items() <= around.items()
    assert "run_id" not in around
    assert "tenant" not in outside
    assert current() == {}


@pytest.mark.anyio
async def test_tasks_and_threads_started_inside_inherit_and_do_not_leak(stream: io.StringIO):
    """Two tenants at once never mix their lines."""
    configure(stream=stream)
    logger = logging.getLogger("app")

    async def work(tenant: str) -> None:
        with bind(tenant=tenant):
            await anyio.lowlevel.checkpoint()
            logger.info(tenant)
            await anyio.to_thread.run_sync(logger.info, tenant)

    with bind(phase="worker"):
        async with anyio.create_task_group() as tasks:
            for tenant in ("a", "b", "c"):
                tasks.start_soon(work, tenant)

    lines = [json.loads(line) for line in stream.getvalue().splitlines() if '"app"' in line]
    assert len(lines) == 6
    assert all(line["tenant"] == line["message"] and line["phase"] == "worker" for line in lines)


def test_a_name_of_the_record_itself_cannot_be_bound():
    """It would silently be lost."""
    with pytest.raises(ValueError, match="name cannot be bound"), bind(name="x"):
        pass


def test_the_active_span_is_named(stream: io.StringIO):
    """Trace and span id as the W3C writes them."""
    configure(stream=stream)
    context = trace.SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=trace.TraceFlags(1))

    with trace.use_span(trace.NonRecordingSpan(context)):
        logging.getLogger("app").info("traced")
    logging.getLogger("app").info("untraced")

    traced, untraced = map(json.loads, stream.getvalue().splitlines())
    assert traced["trace_id"] == "00000000000000000000000000000abc"
    assert traced["span_id"] == "0000000000000def"
    assert "trace_id" not in untraced


def test_opentelemetry_is_not_imported_for_its_ids():
    """Whoever does not trace does not pay."""
    code = (
        "import sys, logging; from orchestrator.logs import configure; configure();"
        "logging.getLogger('x').warning('y'); print('opentelemetry' in sys.modules)"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout == "False\n"
    assert json.loads(result.stderr)["message"] == "y"


def test_secrets_and_repetitions_are_taken_care_of(stream: io.StringIO):
    """One line, then the count when the handler is flushed; the secret in neither."""
    handler = configure(stream=stream, secrets=["hunter22"])
    handler.redactor.register(["hunter33"])
    for number in range(3):
        logging.getLogger("app").error("attempt %s with %s and hunter22", number, "hunter33")

    handler.flush()

    first, count = map(json.loads, stream.getvalue().splitlines())
    assert first["message"] == "attempt 0 with ******** and ********"
    assert count["message"].startswith("attempt 2 with ******** and ******** (repeated 2 times in ")
    assert count["repeated"] == 2


def test_configuring_again_replaces_its_own_handler_and_no_other(stream: io.StringIO, root_logger: logging.Logger):
    """What was folded is told to the former stream."""
    others = list(root_logger.handlers)
    configure(stream=stream)
    for _ in range(2):
        logging.getLogger("app").error("again")

    handler = configure(stream=io.StringIO(), level="ERROR")

    assert [each for each in root_logger.handlers if each not in others] == [handler]
    assert len(stream.getvalue().splitlines()) == 2
    assert root_logger.level == logging.ERROR


@pytest.mark.parametrize(("level", "chatty"), [("info", False), ("debug", True)])
def test_libraries_that_tell_every_request_are_heard_at_debug_only(stream: io.StringIO, level: str, chatty: bool):
    """A person acts on none of it."""
    configure(stream=stream, level=level)

    logging.getLogger("httpx").info("HTTP Request: GET")

    assert ("HTTP Request" in stream.getvalue()) is chatty


def test_an_unknown_level_or_format_is_refused(stream: io.StringIO):
    """With what there is."""
    with pytest.raises(ValueError, match="log level is 'loud'; use debug, info"):
        configure(level="loud", stream=stream)
    with pytest.raises(ValueError, match="log format is 'xml'; use auto, console or json"):
        configure("xml", stream=stream)  # type: ignore[arg-type]  # the point of the test


def test_a_pipe_without_a_reader_loses_lines_and_does_not_raise():
    """They are counted."""
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as pipe:
        handler = configure(stream=pipe)
        os.close(reading)
        logging.getLogger("app").error("nobody hears this")
        logging.getLogger("app").warning("nor this")

        lost = handler.lost
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)

    assert lost == 2


def test_a_closed_stream_loses_lines_and_does_not_raise(stream: io.StringIO):
    """The interpreter may close standard error first."""
    handler = configure(stream=stream)
    stream.close()

    logging.getLogger("app").error("too late")
    handler.flush()

    assert handler.lost == 1


def test_a_process_without_standard_error_can_log(monkeypatch: pytest.MonkeyPatch):
    """A service manager may start it with the stream closed."""
    monkeypatch.setattr(sys, "stderr", None)

    handler = configure()
    logging.getLogger("app").error("nowhere to go")

    assert handler.lost == 1


def test_bad_logging_calls_do_not_break_the_work(
    stream: io.StringIO, root_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
):
    """Arguments that do not fit, structures that hold themselves."""
    handler = configure(stream=stream, secrets=["hunter22"])
    monkeypatch.setattr(root_logger, "handlers", [handler])  # pytest's own handler is stricter
    loop: dict[str, object] = {}
    loop["self"] = loop

    logging.getLogger("app").warning("%s %s", "one")
    logging.getLogger("app").warning("loop", extra={"loop": loop})

    assert len(stream.getvalue().splitlines()) == 2


def test_lines_of_many_threads_do_not_mix(stream: io.StringIO):
    """Each is written whole."""
    handler = configure(stream=stream)
    assert isinstance(handler, LineHandler)

    def work(number: int) -> None:
        for turn in range(50):
            logging.getLogger("app").error("thread %s turn %s", number, turn, extra={"tenant": number % 2})

    threads = [threading.Thread(target=contextvars.copy_context().run, args=(work, number)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.flush()

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert sum(line.get("repeated", 1) for line in lines) == 200
    assert len(lines) == 4
