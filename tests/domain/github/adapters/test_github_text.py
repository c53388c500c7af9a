"""Text of the forge that no database takes."""

import json

import pytest

from domain.github.adapters.github_json import issue_of

RAW = {"id": 1, "number": 1, "title": "t", "body": "b", "state": "open", "updated_at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(("written", "kept"), [("a\0b", "ab"), ("a\ud800b", "a?b"), ("a💥b", "a💥b")])
def test_text_comes_without_what_no_database_takes(written, kept):
    """One such issue would keep its whole page, and so its repository, from being read."""
    raw = json.loads(json.dumps(RAW | {"title": written, "body": written, "user": {"login": written}}))

    issue = issue_of("GET /issues", raw)

    assert (issue.title, issue.body, issue.author) == (kept, kept, kept)
