"""Trouble as it is written on a command line."""

import pytest

from domain.github.adapters.forge import BadTrouble, Kind, Trouble
from domain.github.adapters.forge.orders import trouble_of_text


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("reset", Trouble(Kind.RESET)),
        ("retry-after:seconds=2.5,times=3", Trouble(Kind.RETRY_AFTER, times=3, seconds=2.5)),
        ("slow:match=^GET /repos,after=1,served=true", Trouble(Kind.SLOW, match="^GET /repos", after=1, served=True)),
        ('{"kind": "slow", "match": "a{1,2}"}', Trouble(Kind.SLOW, match="a{1,2}")),
    ],
)
def test_a_trouble_is_a_kind_and_its_fields(text, trouble):
    """Or its JSON, for a comma in the expression."""
    assert trouble == trouble_of_text(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "kind is ''"),
        ("quake:times=1", "kind is 'quake'"),
        ("slow:seconds", "'seconds' in 'slow:seconds' is not field=value"),
        ("slow:sec=1", "no field 'sec'"),
        ("slow:seconds=soon", "seconds: .*'soon'"),
        ('{"kind": ', "is no JSON"),
    ],
)
def test_what_is_no_trouble_is_refused_with_its_text(text, said):
    """One error, with the remedy."""
    with pytest.raises(BadTrouble, match=said):
        trouble_of_text(text)
