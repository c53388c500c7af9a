"""A circuit for each key: apart from one another, and no more of them than memory was given for."""

import anyio
import pytest

from longrun import CircuitOpen, Pipeline, PipelineError, circuit

pytestmark = pytest.mark.anyio


def host(name: str, *, path: str = "/") -> str:
    """The key of :func:`fetch`: where it goes."""
    return name


async def fetch(name: str, *, path: str = "/") -> str:
    """Hosts called "bad..." are down."""
    if name.startswith("bad"):
        raise ConnectionError(name)
    return name + path


async def fail(pipeline: Pipeline, *names: str) -> None:
    """Call hosts that are down."""
    for name in names:
        with pytest.raises(ConnectionError):
            await pipeline.do(fetch, name)


async def test_one_key_that_fails_does_not_stop_the_others() -> None:
    """The arguments of the call decide, keywords too."""
    pipeline = Pipeline(circuit.breaker("hosts", threshold=2, key=host))
    await fail(pipeline, "bad.test", "bad.test")

    good = await pipeline.do(fetch, "good.test", path="/x")

    assert good == "good.test/x"
    with pytest.raises(CircuitOpen, match=r"circuit 'hosts' for key 'bad.test' is open"):
        await pipeline.do(fetch, "bad.test", path="/y")


async def test_pipelines_share_the_circuit_of_a_key() -> None:
    """Name and key are the identity, not the pipeline."""
    one, other = (Pipeline(circuit.breaker("hosts", threshold=2, key=host)) for _ in range(2))
    await fail(one, "bad.test")
    await fail(other, "bad.test")

    assert circuit.statistics("hosts", key="bad.test").state == "open"


async def test_each_key_recovers_by_itself() -> None:
    """One opened ten seconds after the other."""
    pipeline = Pipeline(circuit.breaker("hosts", threshold=1, open_for=30, key=lambda name: name))
    await fail(pipeline, "bad.a")
    await anyio.sleep(10)
    await fail(pipeline, "bad.b")
    await anyio.sleep(20)

    await fail(pipeline, "bad.a")

    with pytest.raises(CircuitOpen) as caught:
        await pipeline.do(fetch, "bad.b")
    assert caught.value.retry_after == pytest.approx(10)


async def test_memory_is_bounded_and_the_key_used_longest_ago_is_forgotten() -> None:
    """Ten thousand keys, a thousand circuits; a key in use stays."""
    pipeline = Pipeline(circuit.breaker("hosts", threshold=1, max_keys=1000, key=host))
    await fail(pipeline, "bad.kept", "bad.forgotten")

    for index in range(10_000):
        await pipeline.do(fetch, str(index))
        if index % 500 == 0:
            with pytest.raises(CircuitOpen):
                await pipeline.do(fetch, "bad.kept")

    assert len(circuit.overview("hosts")) == 1000
    await fail(pipeline, "bad.forgotten")


async def test_a_key_that_cannot_be_hashed_is_refused_with_its_value() -> None:
    """One clear error, and the call does not run."""
    pipeline = Pipeline(circuit.breaker("hosts", key=lambda name: [name]))

    with pytest.raises(PipelineError, match=r"'hosts': key made \['a'\] of the call's arguments"):
        await pipeline.do(fetch, "a")


async def test_none_is_a_key_like_any_other() -> None:
    """A call without a tenant has a circuit as well."""
    pipeline = Pipeline(circuit.breaker("hosts", key=lambda _name: None))

    await pipeline.do(fetch, "a")

    assert circuit.statistics("hosts", key=None).calls == 1


async def test_statistics_of_a_keyed_circuit_want_a_key_that_was_used() -> None:
    """What there is to read is said; reading makes no circuit."""
    pipeline = Pipeline(circuit.breaker("hosts", key=host))
    await pipeline.do(fetch, "a")

    with pytest.raises(PipelineError, match=r"give key=, or read circuit.overview\('hosts'\)"):
        circuit.statistics("hosts")
    with pytest.raises(PipelineError, match="no state for key 'b'"):
        circuit.statistics("hosts", key="b")
    with pytest.raises(PipelineError, match=r"\[\] is no key"):
        circuit.statistics("hosts", key=[])
    assert [found.key for found in circuit.overview("hosts")] == ["a"]


async def test_an_order_for_one_key_leaves_the_others_alone_and_outlives_its_circuit() -> None:
    """Forced open, forgotten by the LRU, and still refused when it comes back."""
    pipeline = Pipeline(circuit.breaker("hosts", max_keys=2, key=host))
    circuit.force_open("hosts", key="a")
    for name in ("b", "c", "d"):
        await pipeline.do(fetch, name)

    with pytest.raises(CircuitOpen) as caught:
        await pipeline.do(fetch, "a")

    assert caught.value.retry_after is None
    circuit.reset("hosts", key="a")
    assert await pipeline.do(fetch, "a") == "a/"


async def test_an_order_without_a_key_is_for_all_keys_also_those_to_come() -> None:
    """One reset ends it for one, one for all."""
    pipeline = Pipeline(circuit.breaker("hosts", key=host))
    await pipeline.do(fetch, "a")
    circuit.force_open("hosts")

    for name in ("a", "new"):
        with pytest.raises(CircuitOpen):
            await pipeline.do(fetch, name)
    circuit.reset("hosts", key="a")
    assert await pipeline.do(fetch, "a") == "a/"
    with pytest.raises(CircuitOpen):
        await pipeline.do(fetch, "new")
    circuit.reset("hosts")
    assert await pipeline.do(fetch, "new") == "new/"
    assert await pipeline.do(fetch, "newer") == "newer/"


async def test_an_order_for_all_keys_ends_what_was_ordered_for_one() -> None:
    """Also for a key that has no circuit yet."""
    pipeline = Pipeline(circuit.breaker("hosts", key=host))
    circuit.force_open("hosts", key="later")

    circuit.reset("hosts")

    assert await pipeline.do(fetch, "later") == "later/"
