"""The identity of a unit and the text that stands for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.planner import TaskId, TaskIdError

PHASES = st.sampled_from(["preflight", "worker"])
RESOURCES = st.from_regex(r"[a-z0-9](?:[a-z0-9._-]{0,8}[a-z0-9])?", fullmatch=True)
TENANTS = st.none() | st.text(min_size=1) | st.from_regex(r"[a-z:]+(:[a-z/]+)*", fullmatch=True)
IDS = st.builds(TaskId, PHASES, RESOURCES, TENANTS)


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (
            TaskId("preflight", "repository-validator", "thumbrise/autosolve"),
            "preflight:repository-validator:thumbrise/autosolve",
        ),
        (TaskId("worker", "issue-poller", "thumbrise/autosolve"), "worker:issue-poller:thumbrise/autosolve"),
        (TaskId("worker", "issue-explainer"), "worker:issue-explainer"),
    ],
)
def test_an_identity_reads_from_general_to_specific(task, text):
    """Phase, resource, tenant; a global unit has no tenant part."""
    assert str(task) == text
    assert TaskId.parse(text) == task


@given(IDS, IDS)
def test_two_identities_never_share_a_text(one, other):
    """Rendering is injective, whatever colons and slashes a tenant's text holds."""
    assert (str(one) == str(other)) == (one == other)


@given(IDS)
def test_parsing_is_the_way_back(task):
    """What was rendered is read again as the same identity."""
    assert TaskId.parse(str(task)) == task


@given(st.text())
def test_any_text_is_an_identity_that_renders_so_or_one_clear_error(text):
    """Parsing never guesses."""
    try:
        said = str(TaskId.parse(text)) == text
    except TaskIdError as error:
        said = repr(text) in str(error)

    assert said


@pytest.mark.parametrize("text", ["", "worker", "worker:", "worker:x:", "setup:x", "WORKER:x", ":x:y", "worker::y"])
def test_a_text_that_names_nothing_is_refused_with_an_example(text):
    """The message shows what an identity looks like."""
    with pytest.raises(TaskIdError, match="worker:issue-poller:acme/shop"):
        TaskId.parse(text)


@pytest.mark.parametrize("parts", [("setup", "x"), ("worker", ""), ("worker", "a:b"), ("worker", "a", "")])
def test_a_part_that_could_forge_another_identity_is_refused(parts):
    """A resource holds no colon, a tenant is never empty, a phase is known."""
    with pytest.raises(TaskIdError):
        TaskId(*parts)
