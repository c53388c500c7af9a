# pyright: strict
"""Calls keep their types: parameters, keyword-only ones and defaults included. Never executed: checkers read it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, assert_type, overload

import anyio

import longrun
from longrun import Attempt, Option, Pipeline, backoff, retry, timeout

T = TypeVar("T")


@dataclass(frozen=True)
class Page:
    """What a call returns."""

    number: int


class Fetch(Protocol):
    """A port with a keyword-only parameter and a default."""

    def __call__(self, number: int, *, size: int = ...) -> Awaitable[Page]: ...


async def ping() -> str:
    raise NotImplementedError


async def nothing() -> None:
    raise NotImplementedError


async def fetch(number: int, /, path: str = "", *, size: int = 10, strict: bool) -> Page:
    raise NotImplementedError


async def pages(*numbers: int, **headers: str) -> list[Page]:
    raise NotImplementedError


async def echo(value: T) -> T:
    raise NotImplementedError


@overload
async def read(key: int) -> str: ...
@overload
async def read(key: str) -> bytes: ...
async def read(key: int | str) -> str | bytes:
    raise NotImplementedError


async def plain(number: int, *, size: int = 10) -> Page:
    raise NotImplementedError


def later(number: int) -> "asyncio.Future[Page]":
    raise NotImplementedError


class Reply(Generic[T]):
    """Something of one's own that can be awaited."""

    def __await__(self) -> Generator[Any, None, T]:
        raise NotImplementedError


def reply(number: int) -> Reply[Page]:
    raise NotImplementedError


class Call:
    """An object that is called."""

    async def __call__(self, number: int, *, size: int = 10) -> Page:
        raise NotImplementedError


def parse(text: str, *, base: int = 10) -> list[int]:
    raise NotImplementedError


policy = Pipeline(timeout.after(30), retry.on(OSError, 5, backoff.exponential(1, 30)), name="pages")


class Client:
    """Methods of each kind, wrapped where they are defined."""

    @policy.wrap
    async def get(self, number: int, *, size: int = 10) -> Page:
        raise NotImplementedError

    @staticmethod
    @policy.wrap
    async def version(major: bool = False) -> str:
        raise NotImplementedError

    @classmethod
    @policy.wrap
    async def connect(cls, host: str, *, port: int = 443) -> "Client":
        raise NotImplementedError

    async def put(self, page: Page, /) -> int:
        raise NotImplementedError


@policy.wrap
async def wrapped(number: int, /, path: str = "", *, size: int = 10, strict: bool) -> Page:
    raise NotImplementedError


@policy.wrap
async def wrapped_many(*numbers: int, **headers: str) -> list[Page]:
    raise NotImplementedError


async def do_gives_the_result_of_the_call() -> None:
    assert_type(await longrun.do(ping), str)
    assert_type(await longrun.do(nothing), None)
    assert_type(await longrun.do(partial(fetch, 1, strict=True)), Page)
    assert_type(await longrun.do(lambda: fetch(1, strict=True)), Page)
    assert_type(await longrun.do(lambda: later(1)), Page)
    assert_type(await longrun.do(partial(reply, 1)), Page)
    assert_type(await longrun.do(longrun.blocking(partial(parse, "1"))), list[int])
    started: Coroutine[Any, Any, str] = longrun.do(ping)
    assert_type(await started, str)


async def a_pipeline_gives_the_result_and_takes_the_arguments_of_the_call() -> None:
    assert_type(await policy.do(ping), str)
    assert_type(await policy.do(fetch, 1, strict=True), Page)
    assert_type(await policy.do(fetch, 1, "/", size=20, strict=False), Page)
    assert_type(await policy.do(pages, 1, 2, accept="json"), list[Page])
    assert_type(await policy.do(echo, 1), int)
    assert_type(await policy.do(read, 1), str)
    assert_type(await policy.do(lambda: read("key")), bytes)
    assert_type(await policy.do(echo, [Page(1)]), list[Page])
    assert_type(await policy.do(later, 1), Page)
    assert_type(await policy.do(reply, number=1), Page)
    assert_type(await policy.do(Call(), 1, size=2), Page)
    assert_type(await policy.do(Client().put, Page(1)), int)
    assert_type(await policy.do(Client.connect, "host", port=80), Client)
    assert_type(await policy.do(partial(plain, size=1), 1), Page)
    started: Coroutine[Any, Any, str] = policy.do(ping)
    assert_type(await started, str)


async def pipelines_in_one_another_keep_it_too() -> None:
    assert_type(await policy.do(policy.wrap(plain), 1, size=2), Page)
    assert_type(await policy.do(policy.do, plain, 1, size=2), Page)
    assert_type(await longrun.do(partial(policy.do, ping)), str)
    assert_type(await policy.wrap(policy.wrap(plain))(1, size=2), Page)
    assert_type(await policy.wrap(longrun.blocking(parse))("1", base=16), list[int])


async def wrapped_functions_keep_their_parameters() -> None:
    assert_type(await wrapped(1, strict=True), Page)
    assert_type(await wrapped(1, "/", size=2, strict=True), Page)
    assert_type(await wrapped_many(1, 2, accept="json"), list[Page])
    assert_type(await policy.wrap(later)(1), Page)
    assert_type(await policy.wrap(reply)(number=1), Page)
    assert_type(await policy.wrap(Call())(1, size=2), Page)
    assert_type(await policy.wrap(partial(plain, size=1))(1), Page)
    assert_type(await policy.wrap(echo)(1), int)
    assert_type(await policy.wrap(echo)("1"), str)
    port: Fetch = policy.wrap(plain)
    assert_type(await port(1, size=2), Page)


async def wrapped_methods_are_bound() -> None:
    client = Client()
    assert_type(await client.get(1, size=2), Page)
    assert_type(await Client.get(client, 1), Page)
    assert_type(await client.version(), str)
    assert_type(await Client.version(major=True), str)
    assert_type(await Client.connect("host"), Client)
    assert_type(await policy.wrap(client.put)(Page(1)), int)


async def blocking_keeps_parameters_and_result() -> None:
    read_ints = longrun.blocking(parse)
    assert_type(await read_ints("1", base=16), list[int])
    assert_type(await longrun.do(partial(read_ints, "1")), list[int])
    assert_type(await asyncio.create_task(read_ints("1")), list[int])


async def calls_can_be_made_tasks() -> None:
    assert_type(await asyncio.create_task(policy.do(plain, 1)), Page)
    assert_type(await asyncio.create_task(longrun.do(ping)), str)
    async with anyio.create_task_group() as tg:
        tg.start_soon(policy.do, nothing)
        tg.start_soon(longrun.do, ping)
        tg.start_soon(longrun.blocking(parse), "1")
        tg.start_soon(policy.wrap(nothing))


async def generics_of_ones_own_stay_generic(call: Callable[[], Awaitable[T]], options: list[Option]) -> T:
    result = await longrun.do(call, *options, retry.on(OSError))
    assert_type(result, T)
    return await Pipeline(options).do(call)


def what_is_said_of_calls(error: Exception) -> None:
    assert_type(longrun.timeline(error), tuple[Attempt, ...])
    for attempt in longrun.timeline(error):
        assert_type(attempt.error, BaseException)
        assert_type(attempt.wait, float | None)
    assert_type(policy.describe(), str)
    assert_type(policy.name, str)
    assert_type(longrun.compose(timeout.after(1), [retry.on(OSError)]), list[Option])
