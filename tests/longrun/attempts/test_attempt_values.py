"""Kept attempts, their keys, and their arithmetic."""

import pytest

from longrun.attempts import Attempts, join, prefix, split


def test_keys_stay_readable():
    """Only what could forge another key is encoded."""
    assert join("acme", "poll: issues é", "on TimeoutError, OSError") == "acme/poll: issues é/on TimeoutError, OSError"
    assert join("a/b", "50%", "x\n") == "a%2Fb/50%25/x%0A"
    assert (prefix("a/b"), prefix("a", "b")) == ("a%2Fb/", "a/b/")


@pytest.mark.parametrize("parts", [("", "t", "r"), ("n", "", "r"), ("n", "t", ""), ("n", None, "r"), ("n", "t", 3)])
def test_a_part_that_is_no_text_is_refused(parts):
    """The error says which."""
    with pytest.raises(ValueError, match=r"the (namespace|task|rule) of attempts is"):
        join(*parts)


@pytest.mark.parametrize("text", ["", "a/b", "a//b", "a/b/c/d", "/a/b", "a/b/"])
def test_a_text_that_is_no_key_is_not_split(text):
    """It would name the wrong task."""
    with pytest.raises(ValueError, match="is no key of attempts"):
        split(text)


@pytest.mark.parametrize(
    "values",
    [(0, 1, 1), (True, 1, 1), (1.5, 1, 1), (1, -1, 1), (1, float("inf"), 1), (1, 1, float("nan")), (1, 1, "1")],
)
def test_nonsense_is_no_value(values):
    """The field is named."""
    with pytest.raises(ValueError, match=r"Attempts (count|last_wait|not_before) is"):
        Attempts(*values)


def test_a_clock_that_was_set_back_by_a_year_parks_nobody_for_a_year():
    """The last wait is the most."""
    kept = Attempts(3, 60.0, 1_000_000.0)

    assert [kept.left(wall) for wall in (999_970.0, 1_000_000.0, 2e9, 1_000_000.0 - 365 * 86400)] == [30, 0, 0, 60]


def test_a_restart_resumes_the_wait_and_not_the_death():
    """A budget that was spent has one retry left; one without limit goes on where it was."""
    assert [Attempts(n, 1, 1).resumed(3) for n in (1, 2, 3, 9)] == [1, 2, 2, 2]
    assert Attempts(9, 1, 1).resumed(None) == 9
