"""What docs/peers.md claims has a proof, and the proof is a test that exists."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "peers.md"
LINK = re.compile(r"\[(\w+)\]\((\S+?)\)")
MARKS = {"●", "◐", "–", "?", "·"}


def section(title: str) -> list[str]:
    """The lines under the heading *title*."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.lstrip("# ") == title and line.startswith("#"))
    end = next((n for n in range(start + 1, len(lines)) if lines[n].startswith("#")), len(lines))
    return lines[start + 1 : end]


def rows(title: str) -> list[list[str]]:
    """The cells of the table under the heading *title*, without its head."""
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in section(title) if line.startswith("|")]
    assert len({len(cells) for cells in table}) == 1, f"a row of {title!r} has more cells than another"
    return table[2:]


def proofs() -> dict[str, str]:
    """The lines under "Proofs" by their numbers."""
    found = [line.split(". ", 1) for line in section("Proofs") if line]
    assert [number for number, _ in found] == [str(n) for n in range(1, len(found) + 1)]
    return {line[0]: line[1] for line in found}


@cache
def defined(path: Path) -> frozenset[str]:
    """The functions and classes of a test file."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return frozenset(node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, kinds))


def claims() -> Iterator[tuple[str, str]]:
    """Every row that needs a proof: what it says, and the text that should link to tests."""
    by_number = proofs()
    for feature, ours, *_ in rows("Python"):
        mark, _, number = ours.partition(" ")
        if mark != "–":
            yield feature, by_number.get(number, "")
    for title in ("Defects that others have and we test against", "Laws"):
        for what, *_, tests in rows(title):
            yield what, tests


@pytest.mark.parametrize(("name", "target"), LINK.findall(PAGE.read_text(encoding="utf-8")))
def test_every_test_that_is_linked_exists(name: str, target: str) -> None:
    """The file is there, and what is named is in it."""
    path = (PAGE.parent / target).resolve()

    assert path.is_relative_to(ROOT / "tests")
    assert path.is_file(), f"docs/peers.md links to {target}, which is not there"
    assert name in defined(path), f"docs/peers.md names {name}, which {target} does not define"


@pytest.mark.parametrize(("what", "tests"), list(claims()))
def test_every_claim_has_a_proof(what: str, tests: str) -> None:
    """What we say of ourselves, each defect and each law leads to a test."""
    assert LINK.search(tests), f"docs/peers.md claims {what!r} and links to no test"


def test_every_proof_belongs_to_one_feature() -> None:
    """Numbers are used once, in the order of the table."""
    used = [ours.partition(" ")[2] for _, ours, *_ in rows("Python") if ours != "–"]

    assert used == list(proofs())


def test_every_cell_is_one_of_the_marks() -> None:
    """So that the legend explains all of them; and what we are not is said in words below."""
    for feature, ours, *others in rows("Python") + rows("Other languages"):
        assert {ours.partition(" ")[0], *others} <= MARKS, f"{feature!r} has a cell that the legend does not explain"


def test_both_tables_say_the_same_of_us() -> None:
    """A feature of the second table is one of the first, with the same mark and proof."""
    first = {feature: ours for feature, ours, *_ in rows("Python")}

    assert {feature: first.get(feature) for feature, *_ in rows("Other languages")} == {
        feature: ours for feature, ours, *_ in rows("Other languages")
    }
