"""The walk over issues that change while they are read."""

import random
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from domain.github.cursor import Cursor, advance
from domain.github.entities import Issue, IssuePage

PER_PAGE = 3


def stamp(second: int) -> str:
    """An instant of the first hour of the year."""
    return f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}Z"


def issue(number: int, second: int) -> Issue:
    """An issue of which only number and time matter."""
    return Issue(number, number, "", "", "open", "", (), stamp(second))


def read(issues: Sequence[Issue], cursor: Cursor, now: int) -> IssuePage:
    """What a forge answers: oldest update first, ``since`` inclusive, by page number."""
    listed = sorted(
        (one for one in issues if one.updated_at >= (cursor.since or "")), key=lambda one: (one.updated_at, one.number)
    )
    begin = (cursor.page - 1) * PER_PAGE
    page = tuple(listed[begin : begin + PER_PAGE])
    return IssuePage(page, len(listed) > begin + PER_PAGE, f"{cursor.since}/{cursor.page}", "etag", stamp(now))


def test_a_first_reading_follows_the_keys():
    """Each page begins at the last update of the one before."""
    issues, cursor, seen = [issue(n, n) for n in range(1, 8)], Cursor(), []

    for _ in range(4):
        page = read(issues, cursor, now=500)
        seen.append([one.number for one in page.issues])
        cursor = advance(cursor, page)

    assert seen == [[1, 2, 3], [3, 4, 5], [5, 6, 7], [7]]
    assert cursor == Cursor(stamp(7), 1, "etag", f"{stamp(7)}/1")


def test_an_empty_page_moves_nothing_but_the_etag():
    """Since stays: there was nothing to go on from."""
    cursor = Cursor(stamp(5))

    moved = advance(cursor, IssuePage((), False, "url", '"e"'))

    assert moved == Cursor(stamp(5), 1, '"e"', "url")


def test_an_empty_page_behind_the_first_goes_back_to_the_first():
    """Otherwise that page would be asked for, for ever."""
    cursor = Cursor(stamp(5), page=3)

    moved = advance(cursor, IssuePage((), False, "url", '"e"', stamp(5)))

    assert (moved.since, moved.page) == (stamp(5), 1)


def test_a_full_second_at_the_end_is_left_behind_when_it_is_settled():
    """A bulk edit of many issues in one second is read twice and then never again."""
    issues, cursor, requests = [issue(n, 10) for n in range(1, 8)], Cursor(), 0
    known: set[int] = set()

    while cursor.since != stamp(11):
        page = read(issues, cursor, now=300)
        known |= {one.number for one in page.issues}
        cursor, requests = advance(cursor, page), requests + 1

    assert known == set(range(1, 8))
    assert requests == 1 + 3 + 3


def test_two_readings_that_agree_count_only_when_nobody_could_join_meanwhile():
    """Issue 4 joins the second behind page 1, issue 2 leaves it, and page 2 looks as it did before."""
    cursor = Cursor(stamp(10))
    first = [issue(n, 10) for n in (1, 2, 3, 5, 6)]
    for _ in range(2):
        cursor = advance(cursor, read(first, cursor, now=10))
    cursor = advance(cursor, read(first, cursor, now=10))
    later = [issue(n, 10) for n in (1, 3, 4, 5, 6)] + [issue(2, 80)]

    cursor = advance(cursor, read(later, cursor, now=80))

    assert cursor.since == stamp(10)


def test_what_stands_behind_a_second_of_several_pages_is_read_from_the_next_second_on():
    """Two leave the second behind page 1: page 2 begins too late, and issue 7 is seen on neither."""
    cursor = Cursor(stamp(10))
    full = [issue(n, 10) for n in (1, 2, 3)] + [issue(7, 50), issue(8, 50)]
    for _ in range(3):
        cursor = advance(cursor, read(full, cursor, now=200))
    later = [issue(3, 10), issue(7, 50)] + [issue(n, 210) for n in (1, 2, 8)]

    cursor = advance(cursor, read(later, cursor, now=210))

    assert cursor.since == stamp(11)


@given(
    starts=st.lists(st.integers(0, 5), min_size=1, max_size=25),
    seed=st.integers(0, 2**32),
    changes=st.integers(0, 30),
)
@example(starts=[2, 2, 1, 1, 3, 3], seed=1742210818, changes=9)
@example(starts=[0] * 6, seed=2**32, changes=13)  # one joins the second while another leaves it: two readings agree
def test_no_change_is_ever_missed(starts, seed, changes):
    """Whatever is updated between two pages, in the end every issue is known in its last state."""
    chance, now = random.Random(seed), 10
    issues = {n: issue(n, second) for n, second in enumerate(starts, 1)}
    known: dict[int, Issue] = {}
    cursor = Cursor()

    def tick() -> None:
        nonlocal cursor
        page = read(list(issues.values()), cursor, now)
        changed = [one for one in page.issues if known.get(one.number) != one]
        known.update({one.number: one for one in changed})
        cursor = advance(cursor, page)

    for _ in range(changes):
        for number in chance.sample(sorted(issues), k=chance.randint(0, min(4, len(issues)))):
            issues[number] = issue(number, now)  # several in one second
        tick()
        now += chance.choice([0, 0, 1, 70])
    now += 100
    for _ in range(200):
        tick()

    assert known == issues


@given(starts=st.lists(st.integers(0, 3), max_size=25))
def test_a_quiet_repository_comes_to_rest(starts):
    """The cursor stops moving, so that the ETag can answer 304."""
    issues, cursor, known = [issue(n, second) for n, second in enumerate(starts, 1)], Cursor(), set()
    for _ in range(120):
        page = read(issues, cursor, now=3000)
        known |= {one.number for one in page.issues}
        cursor = advance(cursor, page)

    again = advance(cursor, read(issues, cursor, now=3000))

    assert again == cursor
    assert cursor.page == 1
