"""Serving: inside a task group, in a thread, on both backends."""

import signal
import socket
import threading

import anyio
import anyio.lowlevel
import httpx
import pytest

from domain.github.adapters.forge import (
    Forge,
    ForgeError,
    Kind,
    Moment,
    NotLoopback,
    PortInUse,
    Scenario,
    Trouble,
    World,
    forge_in_thread,
    serving,
)

pytestmark = pytest.mark.slow


def refuses(url):
    """Whether nobody listens at *url* any more."""
    try:
        httpx.get(url, timeout=2)
    except httpx.ConnectError:
        return True
    return False


@pytest.mark.anyio
async def test_a_forge_answers_while_the_block_runs_and_not_afterwards(forge):
    """On asyncio inside the caller's loop, on trio beside it."""
    async with serving(forge) as url, httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/repos/tidewater/queue")

    assert url.startswith("http://127.0.0.1:")
    assert answer.status_code == 200
    assert refuses(url)


@pytest.mark.anyio
async def test_what_the_block_raises_comes_out_as_it_is(forge):
    """Not wrapped into a group, and the port is closed."""
    with pytest.raises(LookupError, match="mine"):
        async with serving(forge) as url:
            raise LookupError("mine")

    assert refuses(url)


@pytest.mark.anyio
async def test_a_cancelled_block_closes_the_port_although_an_answer_is_slow(forge):
    """The slow answer is not waited for."""
    forge.trouble(Trouble(Kind.SLOW, seconds=600))

    with anyio.fail_after(10):
        async with httpx.AsyncClient() as client, anyio.create_task_group() as tasks:
            with anyio.CancelScope() as block:
                async with serving(forge) as url:
                    tasks.start_soon(client.get, f"{url}/repos/tidewater/queue")
                    while not forge.log():
                        await anyio.lowlevel.checkpoint()
                    block.cancel()
                    await anyio.sleep_forever()

    assert refuses(url)


@pytest.mark.anyio
async def test_signal_handlers_are_left_alone(forge):
    """They belong to the service that hosts the forge."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    async with serving(forge):
        during = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    assert before == during == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.anyio
async def test_a_port_in_use_is_one_clear_error(forge):
    """It names the port and what to do, and is no group."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(PortInUse, match=rf"127\.0\.0\.1:{port}: the port is in use; stop the process") as error:
            async with serving(forge, port=port):
                pytest.fail("it must not serve")

    assert port == error.value.port


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", ""])
def test_only_loopback_is_served(forge, host):
    """The forge trusts everybody who can reach it."""
    with pytest.raises(NotLoopback, match="loopback only"), forge_in_thread(forge, host=host):
        pytest.fail("it must not serve")


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_is_none_is_refused(forge, port):
    """With its number."""
    with pytest.raises(ForgeError, match=f"port {port}; use 1 to 65535"), forge_in_thread(forge, port=port):
        pytest.fail("it must not serve")


def test_a_fixed_port_can_be_taken_again_at_once(forge):
    """A restart does not wait for old connections to be forgotten."""
    with forge_in_thread(forge) as url, httpx.Client() as client:
        client.get(f"{url}/rate_limit")
        port = httpx.URL(url).port

    with forge_in_thread(forge, port=port, host="localhost") as again:
        assert httpx.get(f"{again}/rate_limit").status_code == 200

    assert url == again


def test_no_thread_is_left_behind(forge):
    """Thread and loop end with the block."""
    before = set(threading.enumerate())

    with forge_in_thread(forge) as url:
        httpx.get(f"{url}/rate_limit")

    assert before == set(threading.enumerate())


def test_a_scenario_is_played_while_serving(clock):
    """Its trouble meets the requests, and its end is not waited for."""
    forge = Forge(World.seeded(clock=clock))
    scenario = Scenario(grow_every=3600, troubles=(Moment(0, Trouble(Kind.BAD_GATEWAY, times=0)),))

    with forge_in_thread(forge, scenario=scenario) as url:
        statuses = {httpx.get(f"{url}/repos/tidewater/queue").status_code for _ in range(5)}

    assert 502 in statuses


def test_many_clients_at_once_get_their_own_answers(forge):
    """Fifty comments from eight threads: every one is there once."""
    with forge_in_thread(forge) as url:

        def post(worker):
            with httpx.Client(base_url=url) as client:
                for number in range(6):
                    client.post("/repos/harbour/docs/issues/1/comments", json={"body": f"{worker}-{number}"})

        threads = [threading.Thread(target=post, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    comments = forge.comments()
    assert {f"{worker}-{number}" for worker in range(8) for number in range(6)} == {c.body for c in comments}
    assert 48 == len(comments) == len({c.id for c in comments})


@pytest.mark.anyio
async def test_idle_connections_do_not_delay_the_end(forge):
    """A client that keeps its connection open is not waited for."""
    async with httpx.AsyncClient() as client:
        with anyio.fail_after(1.5):
            async with serving(forge) as url:
                await client.get(f"{url}/rate_limit")

        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/rate_limit")
