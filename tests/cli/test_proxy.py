"""``wsclient proxy`` as it is used, and what may be typed to it."""

from __future__ import annotations

import argparse
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from signal import Signals
from typing import Any

import anyio
import pytest

import wsclient
from wsclient.cli import main
from wsclient.cli.proxy import RULES, TYPED, VERBS, add_options, obey, settings_of
from wsclient.testing import Proxy

from ..docs.pages import table_of
from .talks import COMMAND, Running, serving

pytestmark = pytest.mark.real


class Proxying(Running):
    """The command while it runs, between pipes."""

    out = ""

    async def tells(self, text: str) -> None:
        """Wait until it has said so on its output."""
        while text not in self.out:
            self.out += await self.prints()


@asynccontextmanager
async def proxying(*words: str) -> AsyncIterator[Proxying]:
    """Run the command."""
    command = [*COMMAND[:-1], "proxy", *words]
    async with await anyio.open_process(command) as process:
        try:
            yield Proxying(process)
        finally:
            if process.returncode is None:
                process.kill()


@pytest.fixture
def backend(anyio_backend_name: str) -> tuple[str, str]:
    return "--backend", anyio_backend_name


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


# -- as it is used ----------------------------------------------------------------


async def test_links_are_told_and_broken_by_what_is_typed(
    backend: tuple[str, str],
) -> None:
    """One client lives through a reset that was typed; Ctrl-C ends it all."""
    async with serving() as server:
        target = server.url.removeprefix("ws://").removesuffix("/")
        port = free_port()
        async with proxying(f"{port}", target, *backend) as program:
            await program.tells(f"= 127.0.0.1:{port} leads to {target}\n")
            async with wsclient.Client(
                f"ws://127.0.0.1:{port}/", wait=wsclient.FullJitter(base=0.01, cap=0.05)
            ) as client:
                await client.send("before")
                assert await client.recv() == "before"
                await program.tells("+ 1 from 127.0.0.1:")
                await program.hears(b"reset 1\n")
                await program.tells("- 1 reset by the proxy; ")
                await program.tells("+ 2 from 127.0.0.1:")
                await client.send("after")
                assert await client.recv() == "after"
                await program.hears(b"links\nretes\n")
                await program.tells("  2 ")
                await program.tells("! 'retes': type one of reset, ")
                await program.hears_no_more()  # it works on
                await client.send("still here")
                assert await client.recv() == "still here"
                program.signal(Signals.SIGINT)
                await program.tells("- 2 reset by the proxy, which was closed; ")
                assert await program.ends() == 130
        assert program.err == ""


async def test_chaos_needs_nobody_who_types(backend: tuple[str, str]) -> None:
    async with serving() as server:
        target = server.url.removeprefix("ws://").removesuffix("/")
        port = free_port()
        words = f"{port}", target, "--drop-every", "0.05", "--latency", "0-0.001"
        async with proxying(*words, *backend) as program:
            await program.tells("leads to")
            async with wsclient.Client(
                f"ws://127.0.0.1:{port}/", wait=wsclient.FullJitter(base=0.01, cap=0.05)
            ):
                await program.tells("- 3 reset by the proxy")
            program.signal(Signals.SIGTERM)
            assert await program.ends() == 143


def test_a_port_in_use_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert main(["proxy", f"{port}", "80"]) == 1
    assert f"cannot listen on 127.0.0.1:{port}: " in capsys.readouterr().err


# -- what may be said -------------------------------------------------------------


def said(*words: str) -> Any:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return settings_of(parser.parse_args(words))


def test_addresses_are_of_this_machine_unless_they_say_more() -> None:
    assert said("0", ":80").listen == ("127.0.0.1", 0)
    assert said("0", ":80").target == ("127.0.0.1", 80)
    assert said("[::1]:9000", "example.com:80").listen == ("::1", 9000)
    assert said("[::1]:9000", "example.com:80").target == ("example.com", 80)


def test_only_the_rules_that_are_said_are_set() -> None:
    assert said("1", "2").rules == {}
    rules = said("1", "2", "--latency", "0.1-0.3", "--on-idle", "eof").rules
    assert rules == {"latency": (0.1, 0.3), "on_idle": "eof"}
    for name in RULES:
        assert hasattr(Proxy("127.0.0.1", 9), name.replace("-", "_"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "the following arguments are required: LISTEN, TARGET"),
        (["one", "2"], "'one': write it as PORT or HOST:PORT"),
        (["1", "example.com:99999"], "write it as PORT or HOST:PORT"),
        (["1", "2", "--latency", "long"], "invalid seconds value: 'long'"),
        (["1", "2", "--drop-every", "0"], "'0': give seconds, more than 0"),
        (["1", "2", "--drop-every", "soon"], "'soon': give seconds, more than 0"),
    ],
)
def test_a_wrong_argument_is_named(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["proxy", *words])
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def test_what_the_proxy_refuses_is_told_before_it_listens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["proxy", "1", "2", "--on-idle", "vanish"]) == 2
    assert "wsclient proxy: on_idle='vanish': give " in capsys.readouterr().err


def test_every_option_and_verb_is_on_its_page() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    there = [f"`{a.option_strings[0]}`" for a in parser._actions if a.option_strings]
    assert [row[0] for row in table_of("docs/command-line.md", "proxy")] == there
    typed = ", ".join(row[0] for row in table_of("docs/command-line.md", "proxy verbs"))
    words = [word.strip("`") for word in typed.split(", ")]
    assert words == [*VERBS, "refuse", "listen", "links"]
    for word in words:
        assert f"{word}" in TYPED


# -- what may be typed ------------------------------------------------------------


async def test_typed_rules_are_those_of_the_options_and_may_be_lifted() -> None:
    proxy = Proxy("127.0.0.1", 9)
    for line in "latency 0.1-0.3", "bandwidth 100", "idle-timeout 5", "on-cut eof":
        assert obey(proxy, line.split()) == []
    assert (proxy.latency, proxy.bandwidth) == ((0.1, 0.3), 100)
    assert (proxy.idle_timeout, proxy.on_cut) == (5, "eof")
    for line in "latency none", "bandwidth none", "idle-timeout none", "":
        assert obey(proxy, line.split()) == []
    assert (proxy.latency, proxy.bandwidth, proxy.idle_timeout) == (0, None, None)


async def test_typed_verbs_are_for_all_links_or_for_one_and_one_way() -> None:
    async with serving() as server:
        port = int(server.url.removesuffix("/").rpartition(":")[2])
        async with Proxy("127.0.0.1", port) as proxy:
            streams = [await anyio.connect_tcp(*proxy.address) for _ in range(3)]
            await proxy.until_link(3)
            one, two, three = proxy.links
            assert obey(proxy, ["silence", "1", "up"]) == []
            assert (one.up.silent, one.down.silent, two.silent) == (True, False, False)
            obey(proxy, ["silence"])
            assert two.silent
            assert three.down.silent
            obey(proxy, ["heal"])
            assert not any(link.silent for link in proxy.links)
            obey(proxy, ["reset", "2"])
            assert [line[:4] for line in obey(proxy, ["links"])] == ["  1 ", "  3 "]
            with pytest.raises(ValueError, match="no link 2 is live"):
                obey(proxy, ["reset", "2"])
            obey(proxy, ["refuse"])
            assert proxy.refuses
            obey(proxy, ["listen"])
            assert not proxy.refuses
            for stream in streams:
                await stream.aclose()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("retes", "'retes': type one of reset, forget, eof"),
        ("reset up", "'up': write reset [NUMBER]"),
        ("silence sideways", "'sideways': write silence [NUMBER] [up|down|both]"),
        ("eof up down", "'up down': write eof"),
        ("bandwidth", "'bandwidth': type one of"),
        ("bandwidth wide", "'wide'"),
        ("bandwidth 0", "bandwidth=0.0: give bytes a second, more than 0"),
    ],
)
async def test_what_cannot_be_done_is_told_with_the_remedy(
    line: str, says: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        obey(Proxy("127.0.0.1", 9), line.split())
