"""Paging links."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.github.adapters.link_header import links


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, {}),
        ("", {}),
        ("rubbish", {}),
        ('<https://x/?page=2>; rel="next"', {"next": "https://x/?page=2"}),
        (
            '<https://x/?a=1,2;3&page=2>; rel="next", <https://x/?page=9>; rel="last"',
            {"next": "https://x/?a=1,2;3&page=2", "last": "https://x/?page=9"},
        ),
        ("<https://x/2>; rel=next", {"next": "https://x/2"}),
        ('<https://x/2>; title="a, b; c"; rel="prev next"', {"prev": "https://x/2", "next": "https://x/2"}),
        ('<https://x/2>; REL="Next"', {"next": "https://x/2"}),
        ('<https://x/2>; rel="next", <https://x/3>; rel="next"', {"next": "https://x/2"}),
        ("<https://x/2>", {}),
    ],
)
def test_links_are_found_by_relation(header, expected):
    """As RFC 8288 writes them, and leniently."""
    assert links(header) == expected


@given(st.text(max_size=300))
def test_no_header_breaks_the_parser(header):
    """What cannot be read is left out."""
    assert all(isinstance(url, str) for url in links(header).values())
