"""The rigs themselves, with no part of ours: what they claim to record, they record."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .certificates import Certificates
from .clients import MAKES as CLIENTS
from .clients import Process
from .nats import Nats
from .processes import ROOT, Peer, free_ports, listening, missing, wait_until
from .servers import MAKES as SERVERS
from .servers import Server, offering

pytestmark = pytest.mark.real


@pytest.fixture
def plain(processes: Callable[[str], Process]) -> Process:
    """The client that the servers are tried with."""
    return processes("websockets")


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_each_server_echoes_to_a_client_nobody_here_wrote(
    server: Server, plain: Process, certificates: Certificates, scheme: str
) -> None:
    number = f"rig-{scheme}"
    secure = {"ca": str(certificates.authority)} if scheme == "wss" else {}
    saw = plain.obey(
        {
            "url": server.url(f"/echo?id={number}", scheme),
            "texts": [0, 125, 126, 65536],
            "binaries": [1, 70000],
            "ping": "there?",
            "subprotocols": ["chat"],
            "close": [4001, "done"],
            **secure,
        }
    )
    assert saw["echoed"] == [True] * 6
    assert saw["pong"] == "there?"
    assert saw["subprotocol"] == "chat"
    assert "permessage-deflate" in saw["extensions"]
    if "report" not in SERVERS[server.name].lacks:
        told = plain.obey({"url": server.url(f"/report?id={number}")})["messages"]
        assert json.loads(told[0])["code"] == 4001
        assert json.loads(told[0])["reason"] == "done"


def test_each_server_keeps_its_schedule(server: Server, plain: Process) -> None:
    saw = plain.obey({"url": server.url("/schedule?count=5&then=close")})
    assert saw["messages"] == ["0", "1", "2", "3", "4"]
    assert (saw["code"], saw["reason"]) == (4000, "end of schedule")


def test_each_server_closes_with_the_code_asked_for(
    server: Server, plain: Process
) -> None:
    saw = plain.obey({"url": server.url("/close?code=4002&reason=why")})
    assert (saw["code"], saw["reason"]) == (4002, "why")


@offering("leave")
def test_each_server_closes_without_a_code(server: Server, plain: Process) -> None:
    assert plain.obey({"url": server.url("/leave")})["code"] == 1005


def test_each_server_refuses_with_plain_http(server: Server, plain: Process) -> None:
    saw = plain.obey({"url": server.url("/refuse?status=503&retry-after=7")})
    assert saw["status"] == 503
    assert saw["headers"]["retry-after"] == "7"


@pytest.mark.parametrize("make", CLIENTS)
def test_each_client_obeys_and_tells(
    make: str, processes: Callable[[str], Process], servers: Callable[[str], Server]
) -> None:
    client, server = processes(make), servers("websockets")
    number = f"rig-{make}"
    saw = client.obey(
        {
            "url": server.url(f"/echo?id={number}"),
            "texts": [0, 126, 70000],
            "binaries": [0, 126, 70000],
            "subprotocols": ["nonsense", "chat"],
            "ping": "there?",
            "close": [4001, "done"],
        }
    )
    assert saw["echoed"] == [True] * 6
    assert (saw["subprotocol"], saw["pong"]) == ("chat", "there?")
    assert saw["extensions"]
    told = client.obey({"url": server.url(f"/report?id={number}")})["messages"]
    assert json.loads(told[0]) == {"code": 4001, "reason": "done"}
    gone = {"url": server.url(f"/echo?id={number}-gone"), "abort": True}
    assert client.obey(gone)["code"] == 1006
    told = client.obey({"url": server.url(f"/report?id={number}-gone")})["messages"]
    assert json.loads(told[0])["code"] == 1006
    refused = client.obey({"url": server.url("/refuse?status=503&retry-after=7")})
    assert refused["status"] == 503
    assert refused["headers"]["retry-after"] == "7"


def test_a_client_whose_order_was_broken_off_takes_the_next(
    processes: Callable[[str], Process], servers: Callable[[str], Server]
) -> None:
    client, server = processes("websockets"), servers("websockets")
    client.kill()
    saw = client.obey({"url": server.url("/schedule?count=1&then=close")})
    assert saw["messages"] == ["0"]


def test_nats_forgets_all_when_it_is_killed_and_lives_again_on_its_ports(
    nats: Nats,
) -> None:
    nats.publish([("trades", "1"), ("trades", "2")])
    assert [what for _, what in nats.traced("<<-", "PUB")] == ["PUB trades 1"] * 2
    nats.kill()
    nats.start()
    assert nats.traced("<<-", "PUB") == []
    nats.publish([("trades", "3")])
    assert len(nats.traced("<<-", "PUB")) == 1


def test_a_peer_that_cannot_start_is_told_with_its_words(tmp_path: Path) -> None:
    peer = Peer([sys.executable, "-c", "raise SystemExit('no')"], tmp_path / "log")
    with pytest.raises(RuntimeError, match="no"):
        peer.read_line()
    peer.kill()
    assert not listening(1)


def test_a_peer_ends_with_us_even_when_we_are_killed(tmp_path: Path) -> None:
    [port] = free_ports(1)
    # It starts a peer that heeds nothing but signals, and dies by one itself.
    script = f"""
import os, pathlib
from tests.peers.processes import Peer
command = [{sys.executable!r}, "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
Peer(command, pathlib.Path({str(tmp_path / "log")!r})).wait_listening({port})
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=30)
    assert done.returncode == -9
    wait_until(lambda: not listening(port), "the peer to end")


def test_a_missing_peer_is_a_skip_and_a_failure_where_all_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WSCLIENT_REQUIRE_PEERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no such peer"):
        missing("there is no such peer")
    monkeypatch.setenv("WSCLIENT_REQUIRE_PEERS", "1")
    with pytest.raises(pytest.fail.Exception, match="no such peer"):
        missing("there is no such peer")
