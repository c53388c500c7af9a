"""preset.grpc: errors in the shapes of grpcio and grpclib."""

from enum import Enum
from typing import Any

import anyio
import pytest

import longrun
from longrun import preset
from longrun.backoff import constant
from longrun.testing import Script

pytestmark = pytest.mark.anyio


class StatusCode(Enum):
    """As grpc.StatusCode: members with a tuple for a value."""

    UNAVAILABLE = (14, "unavailable")
    RESOURCE_EXHAUSTED = (8, "resource exhausted")
    ABORTED = (10, "aborted")
    DEADLINE_EXCEEDED = (4, "deadline exceeded")
    INTERNAL = (13, "internal")
    NOT_FOUND = (5, "not found")


class RpcError(Exception):
    """As grpc.aio.AioRpcError: what it knows, it gives by methods."""

    def __init__(self, code: StatusCode, trailing: Any = ()) -> None:
        super().__init__(code.name)
        self._code, self._trailing = code, trailing

    def code(self) -> StatusCode:
        return self._code

    def trailing_metadata(self) -> Any:
        return self._trailing


class GRPCError(Exception):
    """As grpclib.GRPCError: attributes."""

    def __init__(self, status: StatusCode, metadata: Any = None) -> None:
        super().__init__(status.name)
        self.status, self.metadata = status, metadata


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED"])
@pytest.mark.parametrize("kind", [RpcError, GRPCError])
async def test_what_was_not_carried_out_is_tried_again(kind: type[RpcError] | type[GRPCError], code: str) -> None:
    """Whichever client tells it."""
    work = Script(kind(StatusCode[code]), "ok")

    assert await longrun.do(work, preset.grpc()) == "ok"


@pytest.mark.parametrize("code", ["DEADLINE_EXCEEDED", "INTERNAL", "NOT_FOUND"])
async def test_what_may_have_been_carried_out_is_not(code: str) -> None:
    """Nor what will stay as it is."""
    work = Script(RpcError(StatusCode[code]), "ok")

    with pytest.raises(RpcError):
        await longrun.do(work, preset.grpc())

    assert work.calls == 1


async def test_five_calls_are_the_most() -> None:
    """Whatever is configured elsewhere, as proposal A6 has it."""
    work = Script(RpcError(StatusCode.UNAVAILABLE))

    with pytest.raises(RpcError):
        await longrun.do(work, preset.grpc())

    assert work.calls == 5


@pytest.mark.parametrize("codes", [{"DEADLINE_EXCEEDED"}, ["deadline_exceeded"], (StatusCode.DEADLINE_EXCEEDED,)])
async def test_the_codes_can_be_chosen(codes: Any) -> None:
    """By name or by member; those and no others."""
    chosen, other = Script(RpcError(StatusCode.DEADLINE_EXCEEDED), "ok"), Script(RpcError(StatusCode.UNAVAILABLE))

    assert await longrun.do(chosen, preset.grpc(codes=codes)) == "ok"
    with pytest.raises(RpcError):
        await longrun.do(other, preset.grpc(codes=codes))

    assert other.calls == 1


@pytest.mark.parametrize("trailing", [(("grpc-retry-pushback-ms", "4000"),), {"grpc-retry-pushback-ms": b"4000"}])
@pytest.mark.parametrize("kind", [RpcError, GRPCError])
async def test_pushback_is_waited_for(kind: type[RpcError] | type[GRPCError], trailing: Any) -> None:
    """The server knows best when; spread upward only."""
    work = Script(kind(StatusCode.UNAVAILABLE, trailing), "ok")

    await longrun.do(work, preset.grpc())

    assert 4 <= work.started[1] - work.started[0] <= 4 * 1.2


@pytest.mark.parametrize("pushback", ["-1", "never", "", "1.5"])
async def test_pushback_can_forbid_another_try(pushback: str) -> None:
    """A negative number, or what cannot be read."""
    work = Script(RpcError(StatusCode.UNAVAILABLE, (("grpc-retry-pushback-ms", pushback),)), "ok")

    with pytest.raises(RpcError):
        await longrun.do(work, preset.grpc())

    assert work.calls == 1


async def test_a_lost_connection_is_tried_again() -> None:
    """grpclib raises the operating system's own errors."""
    work = Script(ConnectionRefusedError(), "ok")

    assert await longrun.do(work, preset.grpc()) == "ok"


async def test_strangers_are_not_meant() -> None:
    """Neither an error with an HTTP code, nor one whose methods raise."""

    class Odd(Exception):
        def code(self) -> str:
            raise RuntimeError("no code")

    web = ValueError()
    web.code = 503  # type: ignore[attr-defined]  # as urllib's errors have it
    for error in (Odd(), web):
        work = Script(error, "ok")
        with pytest.raises(type(error)):
            await longrun.do(work, preset.grpc(backoff=constant(0)))
        assert work.calls == 1


async def test_the_whole_call_has_a_limit() -> None:
    """A minute; an attempt's own is the client's deadline unless told."""
    started = anyio.current_time()

    with pytest.raises(longrun.TimeoutExceeded):
        await longrun.do(anyio.sleep_forever, preset.grpc())

    assert anyio.current_time() - started == pytest.approx(60)


@pytest.mark.parametrize("codes", [set(), "UNAVAILABLE", {"UNAVAILBLE"}, {14}, None, 3], ids=repr)
def test_nonsense_is_refused(codes: Any) -> None:
    """A misspelt status would never be retried, and nobody would know."""
    with pytest.raises(longrun.PipelineError, match=r"preset\.grpc codes"):
        preset.grpc(codes=codes)
