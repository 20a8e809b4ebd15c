"""The pages fit together, name what is there, and say nothing that is not so."""

from __future__ import annotations

import ast
import logging
import re
import tomllib
from pathlib import Path

import anyio
import pytest

import wsclient
from wsclient.errors import Reason

from .pages import DOCS, ROOT, anchors_of, links_of, name_of, names_in, pages, table_of

PAGES = pytest.mark.parametrize("page", pages(), ids=name_of)


@PAGES
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links_of(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


def test_every_page_is_listed_on_the_first() -> None:
    listed = {link.partition("#")[0] for link in links_of(DOCS / "index.md")}
    there = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert there - {"index.md"} <= listed


@PAGES
def test_every_name_on_a_page_is_there(page: Path) -> None:
    """`wsclient.X`, and `client.x` of what the snippets call client, ws and so on."""
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\bwsclient\.([A-Z]\w+)", text):
        assert hasattr(wsclient, name), name
    held = {"client": wsclient.Client, "ws": wsclient.Connection}
    held["server"] = wsclient.Server
    for variable, kind in held.items():
        for name in re.findall(rf"(?<![\w./-]){variable}\.([a-z]\w+)", text):
            if name != "py":
                assert hasattr(kind, name), f"{variable}.{name}"


# The reference.

REFERENCE = "docs/reference.md"
GROUPS = (
    "connecting",
    "serving",
    "settings",
    "outcomes",
    "subprotocols",
    "errors",
)
CLASSES = (
    "Client",
    "Subscription",
    "Connection",
    "MessageStream",
    "Receipt",
    "Gap",
    "Stats",
    "Server",
    "Attempt",
    "Outcome",
    "Conversation",
)


def names_of(table: str) -> list[str]:
    return [name for row in table_of(REFERENCE, table) for name in names_in(row[0])]


def test_every_public_name_is_in_the_reference_once() -> None:
    listed = [name for group in GROUPS for name in names_of(group)]
    listed = [name for name in listed if name != "GiveUp"] + ["GiveUp"]
    assert sorted(listed) == sorted(wsclient.__all__)


@pytest.mark.parametrize("name", CLASSES)
def test_every_member_is_in_the_reference_once(name: str) -> None:
    there = [member for member in dir(getattr(wsclient, name)) if member[0] != "_"]
    assert sorted(names_of(name)) == sorted(there)


# The architecture.


def test_the_arrows_are_those_of_the_code() -> None:
    rooms = {path.stem for path in (ROOT / "wsclient").iterdir() if path.name[0] != "_"}
    rows = table_of("docs/architecture.md", "rooms")
    stated = {names_in(room)[0]: imported for room, _, imported in rows}
    rooms = {room for room in rooms if list((ROOT / "wsclient").glob(f"{room}*/*.py"))}
    assert rooms <= set(stated)
    for room, imported in stated.items():
        if not imported.startswith("all"):
            assert arrows_from(room) <= set(names_in(imported)), room


def arrows_from(room: str) -> set[str]:
    """Return the other rooms that the modules of one room import."""
    base = ROOT / "wsclient"
    files = [base / f"{room}.py"] if (base / f"{room}.py").exists() else []
    arrows: set[str] = set()
    for path in files or (base / room).rglob("*.py"):
        depth = len(path.relative_to(base).parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == depth:
                arrows.add((node.module or "").partition(".")[0])
    return arrows - {room}


# README.


def command_under(marker: str) -> str:
    """Return the one line in the block right under a marker."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    at = lines.index(f"<!-- {marker} -->")
    assert lines[at + 1] == "```sh"
    assert lines[at + 3] == "```"
    return lines[at + 2]


def test_the_two_commands_are_one_line_each_and_name_what_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    demo, test = command_under("demo-command"), command_under("test-command")
    for command in demo, test:
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -q ")
        [extra] = re.findall(r'"\.\[(\w+)\]"', command)
        assert extra in extras
    assert demo.endswith("&& .venv/bin/wsclient demo")
    assert "wsclient" in project["project"]["scripts"]
    assert test.endswith("&& .venv/bin/python -m pytest")


def test_the_readme_fits_a_page_and_counts_right() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 130
    assert "one of fifteen reasons" in text
    assert len(Reason) == 15


def test_the_changelog_tells_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{wsclient.__version__}] - " in text


# Security.


@pytest.mark.real
async def test_no_secret_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    """URL passwords and headers stay out of the log, of errors and of repr()."""
    caplog.set_level(logging.DEBUG, logger="wsclient")
    shown: list[object] = []

    async def handler(ws: wsclient.Connection) -> None:
        await ws.send("hello")

    async with wsclient.serve(handler) as server:
        port = server.addresses[0][1]
    with anyio.fail_after(60):
        async with wsclient.serve(handler, port=port):
            url = f"ws://user:pass-word@localhost:{port}/?q=1"
            headers = {"Authorization": "Bearer to-ken"}
            async with wsclient.connect(url) as ws:
                shown += [ws, await ws.recv()]
            client = wsclient.Client(url, headers=headers, wait=wsclient.FullJitter())
            async with client:
                shown += [client, await client.recv(), client.stats, client.attempts]
        with pytest.raises(wsclient.ConnectError) as caught:
            async with wsclient.connect(url, headers=headers):
                pass
    text = f"{caplog.text} {shown} {caught.value} {caught.value.facts}"
    assert "hello" in text
    assert "pass-word" not in text
    assert "to-ken" not in text
