"""Every failure we know of: the tests that prove what happens, or what it waits for."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NAME = re.compile(r"test_((?:s\d+_)+)")

# Rows that must be shown at the level of the whole client, on both backends.
WHOLE = frozenset(
    {1, 4, 5, 6, 8, 10, 13, 14, 16, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33}
    | {35, 36, 37, 38, 39, 40, 44, 45, 46, 47, 48, 50, 51, 52}
)

# A connection's own rows: shown below, without a client around them.
BELOW = {
    18: "certificates",
    29: "connecting, cancelled at every point",
    30: "a peer that stops reading",
    34: "a large frame that comes slowly",
    55: "a server's clients that vanish",
    56: "a server's end with mute clients",
    57: "a server's clients that say nothing",
}

# Shown by tests that are named for their room's words.
ELSEWHERE = {
    17: ("test_an_address_that_answers_nothing_does_not_keep_the_next_waiting",),
}

# What the product does not have yet.
WAITING = {
    2: "wake-up events: the wall clock against the monotonic one",
    3: "wake-up events: the wall clock against the monotonic one",
    7: "proxies",
    53: "redirects",
}


def found() -> dict[str, set[str]]:
    """Every test function of the suite, by name, with the files it is in."""
    tests: dict[str, set[str]] = defaultdict(set)
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                tests[node.name].add(str(path.relative_to(TESTS)))
    return tests


FOUND = found()
PROVED: dict[int, set[str]] = defaultdict(set)
for _name, _files in FOUND.items():
    if _match := NAME.match(_name):
        for _number in re.findall(r"s(\d+)_", _match[1]):
            PROVED[int(_number)] |= _files


@pytest.mark.parametrize("row", range(1, 58))
def test_every_row_is_proved_or_says_what_it_waits_for(row: int) -> None:
    named = PROVED.get(row, set())
    if row in WAITING:
        assert not named, f"S{row} no longer waits for {WAITING[row]}: {named}"
    elif row in ELSEWHERE:
        missing = [name for name in ELSEWHERE[row] if name not in FOUND]
        assert not missing, f"S{row} was proved by {missing}"
    else:
        assert named, f"no test is named for S{row}"
        assert row in WHOLE or row in BELOW or in_client(named), named


def in_client(files: set[str]) -> bool:
    return any(file.startswith("client/") for file in files)


@pytest.mark.parametrize("row", sorted(WHOLE))
def test_rows_of_the_main_job_are_proved_with_the_whole_client(row: int) -> None:
    """In modules that run on both backends and see what each test leaves behind."""
    modules = {file for file in PROVED[row] if file.startswith("client/")}
    assert modules, f"no test of the client is named for S{row}"
    checked = [
        module
        for module in modules
        if "from .inv import" in (text := (TESTS / module).read_text(encoding="utf-8"))
        and re.search(r"import .*\binv(ariants)?\b", text)
    ]
    assert checked, f"S{row} is proved without INV, in {modules}"


def test_no_test_is_named_for_a_row_that_does_not_exist() -> None:
    assert set(PROVED) <= set(range(1, 58))
