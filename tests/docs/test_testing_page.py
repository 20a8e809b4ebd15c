"""What docs/testing.md says of the test kit is so."""

from __future__ import annotations

import ast
import re
from typing import Any

import anyio
import pytest

from wsclient import Client, Phase, Reason, testing
from wsclient.supervisor import AttemptFailed, LifeEnded
from wsclient.testing import Network, Recording, ScriptedServer, accepts, script
from wsclient.testing.simulate import read, run

from .pages import DOCS, ROOT, names_in, recording_on_the_page, table_of

PAGE = "docs/testing.md"
HOST = "feed.test"

OF_LINKS = {row[0]: row[-1] for row in table_of(PAGE, "failures of links")}
OF_DIALS = {row[0]: row[-1] for row in table_of(PAGE, "failures of dials")}


def told_in(cell: str) -> list[tuple[Reason, Phase | None]]:
    """Return the reasons that a cell names, each with its phase if it names one."""
    reason = re.compile(r"`([A-Z_]+)`(?: in phase `([A-Z]+)`)?")
    return [
        (Reason[name], Phase[phase] if phase else None)
        for name, phase in reason.findall(cell)
    ]


async def told_after(call: str, *, of_dials: bool) -> list[tuple[Reason, Phase]]:
    """Return what a client tells of its next two minutes, in the order of events."""
    network = Network(seed=1)
    host = network.host(HOST)
    told: list[tuple[Reason, Phase]] = []
    secured = "Phase.TLS" in call
    url = f"{'wss' if secured else 'ws'}://{HOST}:80/"
    server = ScriptedServer(host=HOST, port=80, listen=host.listen)
    client = Client[Any](url, dial=network.dial, first="background")

    async def watch() -> None:
        async for event in client.events():
            if isinstance(event, LifeEnded | AttemptFailed):
                assert event.outcome.reason is not None
                told.append((event.outcome.reason, event.outcome.phase))

    names = {"network": network, "host": host, "Phase": Phase}
    async with server, client, anyio.create_task_group() as group:
        group.start_soon(watch)
        if secured:  # nothing else is asked of TLS than to stand still
            exec(call, names)
        else:
            await server.until_accepted(1)
            await anyio.sleep(1)
            exec(call, names | {"link": host.links[-1]})
            if of_dials:
                host.links[-1].reset()
        await anyio.sleep(120)
        group.cancel_scope.cancel()
    return told


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.parametrize("cell", OF_LINKS)
async def test_a_client_tells_of_a_broken_link_what_the_page_says(cell: str) -> None:
    [call] = names_in(cell)
    told = await told_after(call, of_dials=False)
    promised = [reason for reason, _ in told_in(OF_LINKS[cell])]
    assert promised
    assert [reason for reason, _ in told[: len(promised)]] == promised


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.parametrize("cell", OF_DIALS)
async def test_a_client_tells_of_a_failed_dial_what_the_page_says(cell: str) -> None:
    [call] = names_in(cell)
    failed = await told_after(call, of_dials=True)
    [(reason, phase)] = told_in(OF_DIALS[cell])
    assert reason in [found for found, _ in failed]
    if phase is not None:
        assert (reason, phase) in failed


def test_the_page_names_every_script() -> None:
    ours = {
        name
        for name in script.__all__
        if name[0].islower() and getattr(script, name).__module__ == accepts.__module__
    }
    listed = [names_in(row[0])[0] for row in table_of(PAGE, "scripts")]
    assert {name.partition("(")[0] for name in listed} == ours
    for call in listed:
        assert callable(eval(call, vars(script)))


def test_every_public_name_of_the_kit_is_in_the_reference_once() -> None:
    rows = table_of("docs/reference.md", "testing")
    listed = [name for row in rows for name in names_in(row[0])]
    assert sorted(listed) == sorted(testing.__all__)


def test_the_page_names_every_promise_that_stories_are_judged_by() -> None:
    named = [name for row in table_of(PAGE, "promises") for name in names_in(row[1])]
    assert sorted(named) == sorted(promises())


def promises() -> set[str]:
    """Return the names under which the simulation judges."""
    found: set[str] = set()
    for path in (ROOT / "wsclient/testing/simulate").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found.update(promises_of(node))
    return found


def promises_of(node: ast.AST) -> list[str]:
    """Return the promises that a call to a judge names, or a ``check = "..."``."""
    values: list[ast.expr] = []
    if isinstance(node, ast.Call) and node.args:
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else ""
        name = called.id if isinstance(called, ast.Name) else name
        if name in ("judge", "_judge", "Violation"):
            values = node.args[:1]
    elif isinstance(node, ast.Assign) and "check" in ast.unparse(node.targets[0]):
        value = node.value
        values = value.elts[:1] if isinstance(value, ast.Tuple) else [value]
    return [
        value.value
        for value in values
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    ]


def test_the_story_on_the_page_can_be_lived() -> None:
    text = (DOCS / "testing.md").read_text(encoding="utf-8")
    _, _, block = text.partition("<!-- story -->\n```\n")
    report = run(read(block.partition("```")[0]), "asyncio")
    assert report.violation is None
    assert any("subscribe" in line for line in report.trace)


def test_the_recording_on_the_page_can_be_read() -> None:
    [connection] = Recording.parse(recording_on_the_page()).connections
    assert [str(each.what) for each in connection.events][2:4] == ["welcome", "thanks"]
