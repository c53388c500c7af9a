"""preset.http: real httpx against a server on loopback, and the shapes of the other clients."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest

import longrun
from longrun import preset, retry
from longrun.backoff import constant
from longrun.events import RetryScheduled
from longrun.preset.retry_after import retry_after
from longrun.testing import RecordingListener, Script, instant

pytestmark = pytest.mark.anyio

QUICK = constant(0)


@contextmanager
def server(*answers: tuple[int, dict[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """A real HTTP server on loopback that gives *answers*, the last one for ever; status 0 drops the connection."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            status, headers = answers[min(len(seen), len(answers) - 1)]
            seen.append(self.command)
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.close_connection = True
            if status == 0:
                return
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST = do_PUT = answer  # noqa: N815 - the names that the server of the library calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/", seen
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


@asynccontextmanager
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, verify=False) as opened:
        yield opened


class TestOverLoopback:
    """With a socket in between, so in real time."""

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.mark.parametrize("status", sorted(preset.HTTP_STATUSES))
    async def test_an_answer_that_may_change_is_asked_for_again(self, status: int) -> None:
        """Returned, as httpx does it without raise_for_status."""
        with server((status, {}), (status, {}), (200, {})) as (url, seen):
            async with client() as http:
                response = await longrun.Pipeline(preset.http(backoff=QUICK)).do(http.get, url)

        assert response.status_code == 200
        assert len(seen) == 3

    @pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 409, 422, 501])
    async def test_an_answer_that_stays_is_returned_at_once(self, status: int) -> None:
        """The caller's mistakes and the server's last words."""
        with server((status, {})) as (url, seen):
            async with client() as http:
                response = await longrun.Pipeline(preset.http(backoff=QUICK)).do(http.get, url)

        assert response.status_code == status
        assert len(seen) == 1

    async def test_the_last_answer_is_returned_when_the_retries_are_spent(self) -> None:
        """As without the preset: what came back goes back."""
        with server((503, {})) as (url, seen):
            async with client() as http:
                response = await longrun.Pipeline(preset.http(backoff=QUICK)).do(http.get, url)

        assert response.status_code == 503
        assert len(seen) == 4

    async def test_raised_and_returned_answers_spend_the_same_retries(self) -> None:
        """Whether raise_for_status is called or not, three retries are three."""
        with server((503, {})) as (url, seen):
            async with client() as http:

                async def fetch() -> httpx.Response:
                    response = await http.get(url)
                    return response.raise_for_status() if len(seen) % 2 else response

                await longrun.Pipeline(preset.http(backoff=QUICK)).do(fetch)

        assert len(seen) == 4

    @pytest.mark.parametrize("raising", [True, False])
    async def test_retry_after_is_waited_for(self, raising: bool) -> None:
        """From the header of the answer, or of the answer inside the error."""
        events = RecordingListener()
        with server((429, {"Retry-After": "7"}), (200, {})) as (url, _seen):
            async with client() as http:

                async def fetch() -> httpx.Response:
                    response = await http.get(url)
                    return response.raise_for_status() if raising else response

                with instant():
                    await longrun.Pipeline(preset.http(), longrun.observe(events)).do(fetch)

        (scheduled,) = events.of(RetryScheduled)
        assert scheduled.hint == 7
        assert 7 <= scheduled.wait <= 7 * 1.2

    async def test_a_wait_behind_the_limit_is_not_begun_and_stays_on_the_error(self) -> None:
        """Who is outside, a task for example, knows how long to leave it alone."""
        with server((503, {"retry-after": "120"})) as (url, seen):
            async with client() as http:

                async def fetch() -> None:
                    (await http.get(url)).raise_for_status()

                with pytest.raises(httpx.HTTPStatusError) as caught:
                    await longrun.Pipeline(preset.http()).do(fetch)

        assert len(seen) == 1
        assert caught.value.retry_after == 120  # type: ignore[attr-defined]  # put there by the preset
        assert longrun.classify(caught.value).wait_hint == 120

    async def test_a_post_is_not_repeated(self) -> None:
        """Neither after an answer nor after a lost connection: it may have been carried out."""
        with server((503, {})) as (url, seen):
            async with client() as http:
                response = await longrun.Pipeline(preset.http(backoff=QUICK)).do(http.post, url)
        with server((0, {})) as (url, lost):
            async with client() as http:
                with pytest.raises(httpx.RemoteProtocolError):
                    await longrun.Pipeline(preset.http(backoff=QUICK)).do(http.post, url)

        assert response.status_code == 503
        assert seen == ["POST"]
        assert lost == ["POST"]

    async def test_a_post_is_repeated_when_told(self) -> None:
        """By the one who knows, or by a key that makes it safe."""
        with server((503, {}), (200, {})) as (url, told):
            async with client() as http:
                await longrun.Pipeline(preset.http(unsafe=True, backoff=QUICK)).do(http.post, url)
        with server((503, {}), (200, {})) as (url, keyed):
            async with client() as http:
                headers = {"Idempotency-Key": "8e03978e"}
                await longrun.Pipeline(preset.http(backoff=QUICK)).do(http.post, url, headers=headers)

        assert told == ["POST", "POST"]
        assert keyed == ["POST", "POST"]

    async def test_a_lost_connection_is_opened_again(self) -> None:
        """The server hung up on a GET."""
        with server((0, {}), (200, {})) as (url, seen):
            async with client() as http:
                response = await longrun.Pipeline(preset.http(backoff=QUICK)).do(http.get, url)

        assert response.status_code == 200
        assert len(seen) == 2

    async def test_a_refused_connection_is_tried_again_even_for_a_post(self) -> None:
        """Nothing was sent."""
        with server((200, {})) as (url, _seen):
            pass
        attempts = 0

        async def post() -> httpx.Response:
            nonlocal attempts
            attempts += 1
            async with client() as http:
                return await http.post(url)

        with pytest.raises(httpx.ConnectError):
            await longrun.Pipeline(preset.http(backoff=QUICK)).do(post)

        assert attempts == 4

    async def test_the_statuses_can_be_chosen(self) -> None:
        """Those and no others."""
        with server((409, {}), (503, {})) as (url, seen):
            async with client() as http:
                response = await longrun.Pipeline(preset.http(statuses={409}, backoff=QUICK)).do(http.get, url)

        assert response.status_code == 503
        assert len(seen) == 2


def foreign(package: str, *names: str, **attributes: Any) -> Exception:
    """An error of a client library that is not installed: the last name is its class, the others are above it."""
    kind: type[Exception] = Exception
    for name in names:
        kind = type(name, (kind,), {"__module__": f"{package}.exceptions"})
    error = kind("foreign")
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


GET, POST = SimpleNamespace(method="GET", headers={}), SimpleNamespace(method="POST", headers={})


@pytest.mark.parametrize(
    "error",
    [
        foreign("httpx", "TransportError", "NetworkError", "ReadError"),
        foreign("httpx2", "TransportError", "TimeoutException", "ReadTimeout"),
        foreign("httpcore", "NetworkError", "ConnectError"),
        foreign("aiohttp", "ClientConnectionError", "ServerConnectionError", "ServerDisconnectedError"),
        foreign("aiohttp", "ClientPayloadError"),
        foreign("aiohttp", "ClientResponseError", status=503, request_info=GET, headers={}),
        foreign("requests", "RequestException", "ConnectionError", request=GET, response=None),
        foreign("requests", "RequestException", "Timeout", "ReadTimeout", request=GET),
        foreign("urllib3", "HTTPError", "ProtocolError"),
        foreign("urllib3", "HTTPError", "MaxRetryError", reason=foreign("urllib3", "NewConnectionError")),
        foreign("mine", "Failed", status_code=503),
        foreign("mine", "Failed", code=503),
        foreign("mine", "Failed", http_status=429),
        foreign("mine", "Failed", response=SimpleNamespace(status=504)),
        foreign("googleapiclient", "HttpError", resp=SimpleNamespace(status=502)),
        foreign("requests", "ConnectTimeout", request=POST),
        foreign("aiohttp", "ClientConnectorError", request_info=POST),
        foreign("requests", "ConnectionError", request=POST, reason=foreign("urllib3", "NewConnectionError")),
        ConnectionResetError(),
        TimeoutError(),
        longrun.TimeoutExceeded(3),
    ],
    ids=repr,
)  # fmt: skip
async def test_what_passes_by_itself_is_tried_again(error: Exception) -> None:
    """Known by names and attributes; no client is imported for it."""
    work = Script(error, "ok")

    assert await longrun.do(work, preset.http(backoff=QUICK)) == "ok"


@pytest.mark.parametrize(
    "error",
    [
        foreign("httpx", "TransportError", "ProtocolError", "LocalProtocolError"),
        foreign("httpx", "TransportError", "UnsupportedProtocol"),
        foreign("httpx", "InvalidURL"),
        foreign("aiohttp", "ClientResponseError", status=404, request_info=GET),
        foreign("aiohttp", "ClientResponseError", status=503, request_info=POST),
        foreign("aiohttp", "ClientConnectionError", "ClientConnectorError", "ClientConnectorCertificateError"),
        foreign("requests", "ConnectionError", request=POST),
        foreign("urllib3", "HTTPError", "MaxRetryError", reason=foreign("urllib3", "LocationParseError")),
        foreign("mine", "ReadTimeout"),
        foreign("mine", "Failed", status_code="503"),
        foreign("mine", "Failed", status_code=True),
        foreign("mine", "Failed", code=1006),
        ValueError(),
    ],
    ids=repr,
)  # fmt: skip
async def test_what_stays_is_not_tried_again(error: Exception) -> None:
    """A mistake of the caller's, a refused certificate, a POST that may have been carried out, a stranger."""
    work = Script(error, "ok")

    with pytest.raises(type(error)):
        await longrun.do(work, preset.http(backoff=QUICK))

    assert work.calls == 1


async def test_a_refused_certificate_inside_a_connection_error_stops() -> None:
    """It does not become trusted by asking again."""
    error = foreign("httpx", "TransportError", "NetworkError", "ConnectError")
    error.__cause__ = ssl.SSLCertVerificationError()
    work = Script(error, "ok")

    with pytest.raises(type(error)):
        await longrun.do(work, preset.http(backoff=QUICK))

    assert work.calls == 1


async def test_a_pipeline_that_writes_says_so_for_errors_that_do_not() -> None:
    """aiohttp's connection errors tell no method."""
    error = foreign("aiohttp", "ClientConnectionError", "ServerDisconnectedError")
    work = Script(error, "ok")

    with pytest.raises(type(error)):
        await longrun.do(work, preset.http(method="post", backoff=QUICK))

    assert work.calls == 1


async def test_the_users_rule_stands_before_the_presets() -> None:
    """For the same error; and it honours the header too."""
    error = foreign("mine", "Failed", status_code=503, headers={"RETRY-AFTER": "4"})
    work = Script(error)
    started = anyio.current_time()

    with pytest.raises(type(error)):
        await longrun.do(work, preset.http(), retry.on(type(error), 1, constant(1)))

    assert work.calls == 2
    assert anyio.current_time() - started == pytest.approx(4)


async def test_its_limits_give_way_to_the_users() -> None:
    """A shorter limit around it, or inside it, is no mistake."""
    outside = longrun.Pipeline(longrun.timeout.after(2), preset.http())
    inside = longrun.Pipeline(preset.http(), longrun.timeout.after(3))

    with pytest.raises(longrun.TimeoutExceeded, match="2 s"):
        await outside.do(anyio.sleep_forever)
    with pytest.raises(longrun.TimeoutExceeded) as caught:
        await inside.do(anyio.sleep_forever)

    assert caught.value.seconds in (3, 30)


async def test_each_attempt_and_the_whole_call_have_a_limit() -> None:
    """10 s and 30 s: the call of a server that never answers ends in half a minute."""
    started = anyio.current_time()

    with pytest.raises(longrun.TimeoutExceeded):
        await longrun.do(anyio.sleep_forever, preset.http())

    assert anyio.current_time() - started <= 30


async def test_limits_can_be_left_out() -> None:
    """None is no limit; an attempt's that could never fire is left out by itself."""
    free = longrun.Pipeline(preset.http(timeout=None, attempt_timeout=None)).describe()
    short = longrun.Pipeline(preset.http(timeout=5)).describe()

    assert "timeout" not in free
    assert short.count("timeout after") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"statuses": {99}}, "preset.http statuses"), ({"statuses": 503}, "preset.http statuses"),
        ({"statuses": "503"}, "preset.http statuses"), ({"method": ""}, "preset.http method"),
        ({"retries": 0}, "preset.http retries"), ({"timeout": -1}, "preset.http timeout"),
        ({"attempt_timeout": float("nan")}, "preset.http attempt_timeout"), ({"backoff": 3}, "preset.http backoff"),
        ({"hint_cap": 0}, "preset.http hint_cap"),
    ],
    ids=str,
)  # fmt: skip
def test_nonsense_is_refused(options: dict[str, Any], message: str) -> None:
    """At once, by name and value."""
    with pytest.raises(ValueError, match=message):
        preset.http(**options)


SENT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = format_datetime(SENT + timedelta(seconds=90), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"RETRY-AFTER": " 7 "}, 7),
        ([(b"retry-after", b"7")], 7),
        (httpx.Headers({"retry-after": "1.5"}), 1.5),
        ({"Retry-After": LATER, "Date": format_datetime(SENT, usegmt=True)}, 90),
        ({"Retry-After": LATER, "Date": format_datetime(SENT + timedelta(days=1), usegmt=True)}, 0),
        ({"Retry-After-Ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "9" * 400}, float("inf")),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Fri, 99 Foo 2026 99:99:99 GMT"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
        (None, None),
        (42, None),
        (["retry-after", "7"], None),
    ],
)
def test_retry_after_is_read_from_any_mapping(headers: object, seconds: float | None) -> None:
    """Seconds, and dates counted from the answer's own; nonsense is no wish."""
    assert retry_after(headers) == seconds


def test_a_date_without_the_answers_own_counts_from_the_clock() -> None:
    """For servers that send no Date."""
    headers = {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)}

    assert retry_after(headers) == pytest.approx(60, abs=5)


async def test_an_error_that_takes_no_attribute_comes_out_as_it_is() -> None:
    """Its hint is lost, nothing else."""

    class Slotted(Exception):
        status_code = 503
        headers = {"Retry-After": "5"}  # noqa: RUF012 - never changed

        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    work = Script(Slotted(), "ok")

    assert await longrun.do(work, preset.http(backoff=QUICK)) == "ok"


async def test_a_group_of_transient_errors_is_transient_with_the_longest_hint() -> None:
    """As for every rule: leaf by leaf."""
    leaves = [foreign("mine", "Failed", status=503, headers={"Retry-After": wish}) for wish in ("2", "9")]
    work = Script(ExceptionGroup("both", leaves), "ok")

    await longrun.do(work, preset.http(backoff=QUICK))

    assert work.started[1] - work.started[0] == pytest.approx(9)
