"""The world: what is in it, and how it changes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.github.adapters.forge import ISSUES, Draft, World
from domain.github.adapters.forge.seed import PULL_REQUESTS, REQUIRED_LABEL


def test_the_seed_is_ten_issues_and_two_pull_requests_in_five_repositories(clock):
    """An explainer has ten texts to read; a poller has pull requests to tell apart."""
    world = World.seeded(clock=clock)

    issues = list(world.all_issues())
    assert len(world.repositories) == 5
    assert {draft.title for draft in ISSUES} == {issue.title for issue in issues if not issue.pull_request}
    assert sum(not issue.pull_request for issue in issues) == 10
    assert len(PULL_REQUESTS) == sum(issue.pull_request for issue in issues)


def test_one_seeded_issue_lacks_the_required_label_and_one_has_no_body(clock):
    """The two gates of an explainer are both met by the seed."""
    world = World.seeded(clock=clock)

    issues = [issue for issue in world.all_issues() if not issue.pull_request]
    assert sum(REQUIRED_LABEL not in issue.labels for issue in issues) == 1
    assert sum(issue.body is None for issue in issues) == 1


def test_numbers_of_a_repository_start_at_one_and_follow_the_order_of_creation(clock):
    """As on GitHub, an older issue has a smaller number."""
    world = World.seeded(clock=clock, extra_issues=20)

    for numbered in world.issues.values():
        assert list(range(1, len(numbered) + 1)) == list(numbered)
        ages = [numbered[number].created_at for number in sorted(numbered)]
        assert sorted(ages) == ages


def test_ids_are_unique_and_wider_than_32_bits(clock):
    """A column that is too narrow fails in the sandbox."""
    world = World.seeded(clock=clock, extra_issues=50)

    ids = [issue.id for issue in world.all_issues()]
    assert len(set(ids)) == len(ids)
    assert min(ids) > 2**31


@given(seed=st.integers(0, 2**31), steps=st.integers(0, 40))
def test_the_same_seed_grows_the_same_world(seed, steps):
    """Two worlds with one seed never differ."""

    def clock():
        return datetime(2026, 3, 1, tzinfo=UTC)

    one, two = World.seeded(seed=seed, clock=clock), World.seeded(seed=seed, clock=clock)

    assert [one.grow() for _ in range(steps)] == [two.grow() for _ in range(steps)]
    assert one == two


def test_growth_opens_comments_edits_and_closes(clock):
    """Over many steps every kind of change happens, and an opened issue is really there."""
    world = World.seeded(clock=clock)

    steps = [world.grow() for _ in range(200)]

    assert {"opened", "commented", "edited", "closed"} == {step.change for step in steps}
    for step in steps:
        repository = world.find(step.repository)
        assert repository is not None
        assert world.issue(repository, step.number) is not None


def test_a_comment_moves_its_issue_forward_in_time(clock):
    """GitHub bumps updated_at when somebody comments; pollers rely on it."""
    world = World.seeded(clock=clock)
    repository = world.find("tidewater/queue")
    before = world.issue(repository, 1)
    clock.advance(60)

    world.comment(before, "hello")

    after = world.issue(repository, 1)
    assert world.now() == after.updated_at
    assert before.created_at == after.created_at
    assert [comment.body for comment in world.comments_of(after)] == ["hello"]


def test_a_repository_is_found_under_any_case_and_under_its_old_name(clock):
    """Names are compared without case; a rename leaves a sign."""
    world = World.seeded(clock=clock)
    repository = world.find("Tidewater/QUEUE")

    world.rename(repository, "tidewater/broker")

    assert world.find("tidewater/queue").full_name == "tidewater/broker"
    assert repository.id == world.find("TIDEWATER/broker").id


def test_a_new_repository_may_take_the_name_that_another_one_gave_up(clock):
    """As on GitHub, the sign is gone then."""
    world = World.seeded(clock=clock)
    old = world.rename(world.find("tidewater/queue"), "tidewater/broker")

    new = world.add_repository("tidewater/queue")

    assert new.id != old.id
    assert new == world.find("tidewater/queue")
    assert world.issues[new.id] == {}


def test_an_issue_for_an_unknown_repository_is_refused(clock):
    """Nothing is stored for a name that does not exist."""
    world = World.seeded(clock=clock)

    with pytest.raises(KeyError, match="no/where"):
        world.open_issue(Draft("no/where", "title", None))

    assert world.issue_count == 12


def test_a_large_world_can_be_asked_for(clock):
    """Load tests need many tenants and many pages."""
    world = World.seeded(clock=clock, extra_issues=120, extra_repositories=30)

    assert len(world.repositories) == 35
    assert world.issue_count == 132
    assert world.find("sandbox/repository-0030") is not None
