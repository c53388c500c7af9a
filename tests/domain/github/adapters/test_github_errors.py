"""The meaning of each answer, row by row."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.github.adapters.github_errors import SECONDARY_WAIT, error_of
from domain.github.errors import Missing, RateLimited, Refused, RemoteError, Renamed, Unavailable

NOON = 1_767_268_800  # Thu, 01 Jan 2026 12:00:00 GMT
DATE = {"date": "Thu, 01 Jan 2026 12:00:00 GMT"}
WRONG_CLOCK = NOON - 7 * 86_400

SECONDARY = {
    "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
}
ABUSE = {"documentation_url": "https://docs.github.com/en/rest/overview/resources-in-the-rest-api#abuse-rate-limits"}
USED_UP = {"x-ratelimit-remaining": "0"}


def answer(status: int, headers: dict[str, str] | None = None, body: object = None) -> RemoteError:
    """The error of one answer, read by a machine whose clock is a week behind."""
    return error_of("GET /x", status, DATE | (headers or {}), json.dumps(body or {}).encode(), WRONG_CLOCK)


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        pytest.param({"retry-after": "7"}, {}, 7.0, id="Retry-After in seconds"),
        pytest.param({"retry-after": "Thu, 01 Jan 2026 12:01:30 GMT"}, {}, 90.0, id="Retry-After as a date"),
        pytest.param(USED_UP | {"x-ratelimit-reset": str(NOON + 600)}, {}, 600.0, id="used up, reset ahead"),
        pytest.param(USED_UP | {"x-ratelimit-reset": str(NOON - 1)}, {}, None, id="used up, reset past"),
        pytest.param(USED_UP | {"x-ratelimit-reset": str(NOON * 1000)}, {}, None, id="used up, reset in milliseconds"),
        pytest.param(USED_UP | {"x-ratelimit-reset": "soon"}, {}, None, id="used up, reset unreadable"),
        pytest.param(USED_UP, {}, None, id="used up, no reset"),
        pytest.param({"retry-after": "5"} | USED_UP | {"x-ratelimit-reset": str(NOON + 600)}, {}, 5.0, id="both"),
        pytest.param({}, SECONDARY, SECONDARY_WAIT, id="secondary limit by its link"),
        pytest.param({}, ABUSE, SECONDARY_WAIT, id="abuse limit by its link"),
        pytest.param({"retry-after": "30"}, SECONDARY, 30.0, id="secondary limit with Retry-After"),
        pytest.param(
            {"x-ratelimit-remaining": "4000", "x-ratelimit-reset": str(NOON + 3000)},
            {"message": "You have exceeded a secondary rate limit."},
            SECONDARY_WAIT,
            id="secondary limit by its message; the primary's reset is not its wait",
        ),
        pytest.param({}, {"message": "API rate limit exceeded for user ID 1."}, None, id="by its message"),
        pytest.param({"retry-after": "0"}, {}, None, id="Retry-After of nothing"),
        pytest.param({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, {}, None, id="Retry-After in the past"),
    ],
)
def test_every_form_of_a_limit_is_service_pressure_with_its_wait(status, headers, body, wait):
    """Whatever the form and whatever our own clock says."""
    error = answer(status, headers, body)

    assert isinstance(error, RateLimited)
    assert error.service_pressure is True
    assert error.retry_after == wait


def test_a_429_without_any_mark_is_service_pressure_without_a_wait():
    """The curve of the service category decides then."""
    error = answer(429)

    assert isinstance(error, RateLimited)
    assert error.retry_after is None


def test_without_a_date_header_the_local_clock_counts():
    """There is nothing better to go by."""
    error = error_of("GET /x", 403, USED_UP | {"x-ratelimit-reset": str(NOON + 60)}, b"", NOON)

    assert isinstance(error, RateLimited)
    assert error.retry_after == 60.0


@pytest.mark.parametrize("status", [202, 204, 206, 304, 408, 500, 502, 503, 504, 599])
def test_a_failing_service_is_worth_another_try(status):
    """No wait is made up."""
    error = answer(status)

    assert isinstance(error, Unavailable)
    assert error.retryable is True
    assert not hasattr(error, "retry_after")
    assert not hasattr(error, "service_pressure")


def test_retry_after_of_a_503_is_honoured():
    """Seconds here; the date form is read by the same function."""
    assert getattr(answer(503, {"retry-after": "42"}), "retry_after") == 42.0  # noqa: B009 - an optional attribute


@pytest.mark.parametrize(
    ("status", "kind", "remedy"),
    [
        (400, Refused, "base_url"),
        (401, Refused, "set a valid github.token"),
        (403, Refused, "give it access"),
        (404, Missing, "spelling"),
        (410, Missing, "gone"),
        (418, Refused, "not expected"),
        (422, Refused, "does not accept"),
        (451, Refused, "legal"),
        (302, Refused, "base_url"),
    ],
)
def test_a_refusal_is_permanent_and_names_the_remedy(status, kind, remedy):
    """Another try would be refused as well."""
    error = answer(status, body={"message": "Sorry"})

    assert type(error) is kind
    assert error.permanent is True
    assert error.status == status
    assert "GET /x" in str(error)
    assert "Sorry" in str(error)
    assert remedy in str(error)


@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_moved_repository_is_permanent_and_keeps_the_place(status):
    """The caller can look there for the new name."""
    error = answer(status, {"location": "https://api.github.com/repositories/42"})

    assert isinstance(error, Renamed)
    assert error.permanent is True
    assert error.location == "https://api.github.com/repositories/42"


@given(
    status=st.integers(202, 599),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "x-ratelimit-reset", "x-ratelimit-remaining", "date", "location"]),
        st.one_of(st.text(max_size=40), st.integers().map(str)),
    ),
    body=st.one_of(st.binary(max_size=200), st.text().map(lambda text: json.dumps({"message": text}).encode())),
)
def test_any_answer_gets_one_clear_error(status, headers, body):
    """Nonsense in headers or body never breaks the mapping, and a wait is always one that can be waited."""
    error = error_of("GET /x", status, headers, body, NOON)

    wait = getattr(error, "retry_after", None)
    assert wait is None or 0 < wait <= 86_400
    assert "GET /x" in str(error)
    assert "\n" not in str(error)
    assert str(error).isprintable() or headers.get("location")
