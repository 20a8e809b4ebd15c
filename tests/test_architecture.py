"""The house: who may import whom, checked from the source text."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "wsclient"

# Each room with the rooms it may know; it may know only rooms above it.
ROOMS: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "wire": frozenset(),
    "tasks": frozenset(),
    "attempt": frozenset({"errors"}),
    "protocol": frozenset({"errors"}),
    "transport": frozenset({"errors", "wire"}),
    "connection": frozenset({"protocol", "errors", "wire", "tasks"}),
    "supervisor": frozenset({"errors", "attempt", "tasks"}),
    "subprotocols": frozenset({"errors", "supervisor"}),
    "client": frozenset(
        {
            "errors",
            "wire",
            "attempt",
            "protocol",
            "transport",
            "connection",
            "supervisor",
            "subprotocols",
        }
    ),
    "server": frozenset(
        {"connection", "transport", "protocol", "errors", "wire", "tasks"}
    ),
    "sync": frozenset({"errors", "client", "server"}),
    "testing": frozenset(
        {
            "errors",
            "wire",
            "tasks",
            "protocol",
            "transport",
            "connection",
            "supervisor",
            "subprotocols",
            "client",
            "server",
        }
    ),
    "cli": frozenset(
        {
            "errors",
            "wire",
            "protocol",
            "transport",
            "connection",
            "supervisor",
            "subprotocols",
            "client",
            "server",
            "sync",
            "testing",
        }
    ),
}
FACE = frozenset(ROOMS) - {"cli"}

# Other people's packages, by room; anyio everywhere but in protocol/.
PACKAGES: dict[str, frozenset[str]] = {
    "protocol": frozenset({"h11"}),
    "tasks": frozenset({"anyio", "trio"}),
    "transport": frozenset({"anyio", "trio", "uvloop"}),
    "supervisor": frozenset({"anyio", "tenacity"}),
    "client": frozenset({"anyio", "typing_extensions"}),
    "testing": frozenset({"anyio", "pytest", "tenacity", "trio"}),
    "cli": frozenset({"anyio", "rich", "trio"}),
}
# The protocol does no I/O, knows no clock, rolls no dice and logs nothing.
IMPURE = frozenset(
    {
        "asyncio",
        "logging",
        "random",
        "select",
        "selectors",
        "socket",
        "ssl",
        "threading",
        "time",
    }
)

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def room_of(module: str) -> str:
    return module.split(".")[0]


def imports(module: str) -> Iterator[str]:
    """Every module a module imports, absolute, wherever the import stands."""
    here = ["wsclient", *module.split(".")]
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=name, level=0):
                assert name
                yield name
            case ast.ImportFrom(module=None, level=level, names=names):
                base = ".".join(here[:-level])
                yield from (f"{base}.{alias.name}" for alias in names)
            case ast.ImportFrom(module=str(name), level=level):
                yield ".".join([*here[:-level], name])


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_its_own_room_and_the_rooms_above(module: str) -> None:
    room = room_of(module)
    allowed = FACE if room == "__init__" else ROOMS[room] | {room}
    for target in imports(module):
        top, _, inner = target.partition(".")
        if top == "wsclient":
            assert room_of(inner) in allowed, f"{module} imports {target}"
        elif top in sys.stdlib_module_names:
            assert room != "protocol" or top not in IMPURE, f"{module} imports {top}"
        else:
            packages = PACKAGES.get(room, frozenset({"anyio"}))
            assert top in packages, f"{module} imports {top}"


def test_the_table_of_rooms_points_one_way() -> None:
    above: set[str] = set()
    for room, known in ROOMS.items():
        assert known <= above, f"{room} knows a room below it"
        above.add(room)


def test_no_module_imports_itself_through_others() -> None:
    graph = {
        module: sorted(
            {
                name
                for target in imports(module)
                for inner in [target.removeprefix("wsclient.")]
                for name in (inner, f"{inner}.__init__")
                if name in MODULES
            }
        )
        for module in MODULES
    }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        if module not in done:
            for target in graph[module]:
                visit(target, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_has_no_second_set_of_imports_for_the_type_checker(
    module: str,
) -> None:
    """Needing TYPE_CHECKING means that an arrow points the wrong way."""
    assert "TYPE_CHECKING" not in MODULES[module].read_text(encoding="utf-8")


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_is_read_in_one_sitting(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    assert text.count("\n") <= 520, "what room is hiding in it?"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[min(1, len(node.body) - 1)]  # behind the docstring
            length = (node.end_lineno or 0) - first.lineno
            assert length <= 60, f"{node.name} does not fit a screen"


def test_every_module_has_its_tests_where_one_looks_for_them() -> None:
    missing = [
        str(expected.relative_to(ROOT))
        for module, path in MODULES.items()
        if path.name not in {"__init__.py", "__main__.py"}
        for expected in [
            ROOT / "tests" / path.relative_to(PACKAGE).with_name(f"test_{path.name}")
        ]
        if not expected.exists() and path.stem not in {"wire", "seam"}
    ]
    assert not missing, missing
