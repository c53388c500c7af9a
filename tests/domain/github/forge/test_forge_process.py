"""The forge as a process of its own: started, killed, restarted."""

import contextlib
import signal
import socket
import subprocess
import sys

import httpx
import pytest

pytestmark = pytest.mark.slow

COMMENTS = "/repos/tidewater/queue/issues/1/comments"


@contextlib.contextmanager
def process(*options):
    """A forge process and the address it printed."""
    with subprocess.Popen(
        [sys.executable, "-m", "domain.github.adapters.forge", *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running, running.stdout.readline().strip()
        finally:
            running.kill()


def run(*options):
    """A forge that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "domain.github.adapters.forge", *map(str, options)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_zero_and_silence(number):
    """Even with a connection open and an answer on its way."""
    with (
        process("--trouble", "slow:seconds=600") as (running, url),
        httpx.Client(base_url=url, timeout=5) as client,
        socket.create_connection(("127.0.0.1", httpx.URL(url).port)) as waiting,
    ):
        waiting.sendall(b"GET /rate_limit HTTP/1.1\r\nHost: forge\r\nUser-Agent: bare\r\n\r\n")
        while not client.get("/_forge/log").json():
            pass
        running.send_signal(number)
        output, errors = running.communicate(timeout=10)

    assert (running.returncode, output, errors) == (0, "", "")


def test_its_address_is_its_only_output_and_options_apply():
    """Token, limit, size and trouble."""
    with process("--token", "t", "--limit", 7, "--issues", 8, "--repositories", 1, "--trouble", "not-found") as (
        _,
        url,
    ):
        with httpx.Client(base_url=url, headers={"Authorization": "Bearer t"}) as client:
            troubled = client.get("/repos/sandbox/repository-0001")
            answer = client.get("/repos/sandbox/repository-0001")
            state = client.get("/_forge/state").json()
        refused = httpx.get(f"{url}/repos/tidewater/queue")

    assert [troubled.status_code, answer.status_code, refused.status_code] == [404, 200, 401]
    assert answer.headers["x-ratelimit-limit"] == "7"
    assert state["issues"] == 20


def test_a_killed_forge_knows_its_comments_again(tmp_path):
    """SIGKILL right after the 201: the comment was on disk before the answer."""
    state = tmp_path / "forge.json"
    with process("--state", state) as (running, url):
        posted = httpx.post(f"{url}{COMMENTS}", json={"body": "kept"})
        running.send_signal(signal.SIGKILL)
        running.wait()
        port = httpx.URL(url).port

    with process("--state", state, "--port", port) as (_, again):
        comments = httpx.get(f"{again}{COMMENTS}").json()

    assert url == again
    assert [posted.json()] == comments


def test_a_port_in_use_is_one_line_and_exit_two():
    """No traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        ended = run("--port", taken.getsockname()[1])

    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1
    assert "the port is in use" in ended.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--trouble", "quake"], "forge: kind is 'quake'"),
        (["--limit", "-5"], "'-5' is no count"),
        (["--state", "/proc/forge.json"], "forge: the forge's state file /proc/forge.json cannot be used"),
        (["--host", "0.0.0.0"], "loopback only"),
        (["--port", "http"], "invalid int value"),
    ],
)
def test_a_wrong_option_is_a_clear_error_and_exit_two(options, said):
    """Which option, which value."""
    ended = run(*options)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
