"""Pages, links, filters: the pure rules of a list."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.github.adapters.forge import World
from domain.github.adapters.forge.answer import Refused, etag_of, matches
from domain.github.adapters.forge.listing import Page, selected

ADDRESS = "http://forge/repositories/1/issues"


def numbers_by_relation(header):
    """{"next": 2, ...} from a Link header."""
    return {rel: int(page) for page, rel in re.findall(r"[?&]page=(\d+)>; rel=\"(\w+)\"", header or "")}


@given(total=st.integers(0, 500), size=st.integers(1, 100))
def test_following_next_visits_every_item_exactly_once(total, size):
    """A client that follows the links sees the whole list, in order."""
    items = list(range(total))
    seen, number = [], 1

    while number is not None:
        page = Page(number, size)
        seen += page.cut(items)
        number = numbers_by_relation(page.links(ADDRESS, {}, total)).get("next")

    assert items == seen


@given(total=st.integers(0, 500), number=st.integers(1, 20), size=st.integers(1, 100))
def test_links_name_pages_that_exist_and_only_where_they_lead_somewhere(total, number, size):
    """The first page has no prev, the last one no next, and no link leaves the list."""
    last = max(1, -(-total // size))

    links = numbers_by_relation(Page(number, size).links(ADDRESS, {}, total))

    assert all(1 <= page <= last for page in links.values())
    assert ("next" in links) == (number < last)
    assert ("prev" in links) == (number > 1)
    assert ("first" in links) == (number > 1)


def test_links_keep_the_rest_of_the_query_encoded():
    """A since with a plus sign comes back as it went out."""
    query = {"since": "2026-03-01T12:00:00+01:00", "per_page": "1", "page": "1"}

    header = Page.of(query).links(ADDRESS, query, 3)

    assert (
        f'<{ADDRESS}?since=2026-03-01T12%3A00%3A00%2B01%3A00&per_page=1&page=2>; rel="next", '
        f'<{ADDRESS}?since=2026-03-01T12%3A00%3A00%2B01%3A00&per_page=1&page=3>; rel="last"'
    ) == header


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, Page(1, 30)),
        ({"page": "3", "per_page": "50"}, Page(3, 50)),
        ({"per_page": "1000"}, Page(1, 100)),
        ({"page": "0", "per_page": "0"}, Page(1, 30)),
        ({"page": "-1", "per_page": "many"}, Page(1, 30)),
        ({"page": "²", "per_page": "9" * 5000}, Page(1, 30)),
    ],
)
def test_nonsense_in_page_and_per_page_means_the_default(query, expected):
    """GitHub never refuses a page; it corrects it."""
    assert expected == Page.of(query)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"state": "opened"}, "state"),
        ({"sort": "age"}, "sort"),
        ({"direction": "up"}, "direction"),
        ({"since": "yesterday"}, "since"),
    ],
)
def test_a_filter_that_github_does_not_know_is_refused_by_name(query, field):
    """422 and the name of the parameter."""
    with pytest.raises(Refused) as refused:
        selected([], query, lambda _: 0)

    assert refused.value.answer.status == 422
    assert f'"field":"{field}"'.encode() in refused.value.answer.body


def test_since_includes_the_moment_itself(clock):
    """An issue updated in the very second of the cursor is seen again, not lost."""
    world = World.seeded(clock=clock)
    issues = list(world.all_issues())
    moment = sorted(issue.updated_at for issue in issues)[5]

    found = selected(issues, {"since": moment.isoformat(), "state": "all"}, lambda _: 0)

    assert {issue.id for issue in issues if issue.updated_at >= moment} == {issue.id for issue in found}


def test_issues_are_sorted_and_filtered_as_asked(clock):
    """Newest first by default; by updated_at, by comments, upwards, by state and by label on request."""
    world = World.seeded(clock=clock)
    repository = world.find("tidewater/queue")
    clock.advance(10)
    world.comment(world.issue(repository, 1), "bump")
    world.close(world.issue(repository, 2))

    def numbers(**query):
        issues = world.issues[repository.id].values()
        return [issue.number for issue in selected(issues, query, lambda issue: len(world.comments_of(issue)))]

    assert numbers() == [3, 1]
    assert numbers(state="all") == [3, 2, 1]
    assert numbers(state="closed") == [2]
    assert numbers(state="all", sort="updated", direction="asc") == [3, 1, 2]
    assert numbers(state="all", sort="comments")[0] == 1
    assert numbers(labels="Enhancement,explain") == [1]


@pytest.mark.parametrize(
    ("header", "hit"),
    [(None, False), ("*", True), ("{tag}", True), ('"other", {tag}', True), ('"other"', False), ("", False)],
)
def test_a_conditional_request_is_compared_weakly_tag_by_tag(header, hit):
    """W/ does not matter, lists and the star are understood."""
    tag = etag_of(b"body")
    strong = tag.removeprefix("W/")

    assert hit == matches(tag, None if header is None else header.format(tag=tag))
    assert hit == matches(tag, None if header is None else header.format(tag=strong))
