"""Laws of kept attempts: keys that no text forges, and waits that no clock stretches."""

from hypothesis import given
from hypothesis import strategies as st

from longrun.attempts import Attempts, join, prefix, split
from longrun.attempts.keys import end_of

PARTS = st.text(min_size=1, max_size=8) | st.text("/%2Fab\0 é\ud800", min_size=1, max_size=6)
KEYS = st.tuples(PARTS, PARTS, PARTS)
CLOCKS = st.floats(0, 1e11)
WAITS = st.floats(0, 1e7)


@given(KEYS)
def test_a_key_says_what_it_was_made_of(parts):
    """Whatever the parts hold, lone surrogates included."""
    assert split(join(*parts)) == parts


@given(KEYS, KEYS)
def test_a_key_lies_below_the_prefix_of_its_own_task_only(one, other):
    """In the order of texts as well, by which a store looks it up; as bytes the order is the same."""
    key, of_other = join(*one), prefix(*other[:2])

    below = of_other <= key < end_of(of_other)

    assert below == (one[:2] == other[:2]) == key.startswith(of_other)
    assert below == (of_other.encode() <= key.encode() < end_of(of_other).encode())


@given(KEYS)
def test_a_key_is_printable(parts):
    """It can stand in a log line, and in any store."""
    assert join(*parts).isprintable()
    assert join(*parts).count("/") == 2


@given(st.integers(1, 10**6), WAITS, CLOCKS, CLOCKS)
def test_no_clock_makes_a_task_wait_longer_than_it_was_told(count, wait, not_before, wall):
    """Set back or forward, by any amount."""
    kept = Attempts(count, wait, not_before)

    left = kept.left(wall)

    assert 0 <= left <= wait
    if wall >= not_before:
        assert left == 0
    elif not_before - wall <= wait:
        assert left == not_before - wall


@given(st.integers(1, 10**6), st.none() | st.integers(1, 1000))
def test_a_restart_never_finds_a_budget_spent(count, retries):
    """At least one retry is left, and nothing is added to what was kept."""
    resumed = Attempts(count, 1, 1).resumed(retries)

    assert 0 <= resumed <= count
    assert retries is None or resumed < retries
    if retries is None or count < retries:
        assert resumed == count


@given(st.floats(0, 1e9), CLOCKS, WAITS)
def test_attempts_expire_once_and_for_all(ttl, not_before, later):
    """Never before the attempt is allowed, and never again fresh."""
    kept = Attempts(1, 1, not_before)

    assert not kept.expired(not_before, ttl)
    if kept.expired(not_before + later, ttl):
        assert kept.expired(not_before + later + 1, ttl)
