"""The rigs themselves, with no part of ours: what they claim to record, they record."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .certificates import Certificates
from .nats import Nats
from .processes import Peer, listening, missing
from .servers import HERE, Server

pytestmark = pytest.mark.real


def order(**orders: Any) -> dict[str, Any]:
    """Have the websockets client do something, in a process of its own."""
    done = subprocess.run(
        [sys.executable, HERE / "websockets_client.py", json.dumps(orders)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_each_server_echoes_to_a_client_nobody_here_wrote(
    server: Server, certificates: Certificates, scheme: str
) -> None:
    saw = order(
        url=server.url(f"/echo?id=rig-{scheme}", scheme),
        texts=[0, 125, 126, 65536],
        binaries=[1, 70000],
        fragments=["a", "b", ""],
        ping=True,
        subprotocols=["chat"],
        close=[4001, "done"],
        **({"ca": str(certificates.authority)} if scheme == "wss" else {}),
    )
    assert saw["echoed"] == [True] * 6
    assert saw["fragments"] == "ab"
    assert saw["subprotocol"] == "chat"
    assert "permessage-deflate" in saw["extensions"]
    report = order(url=server.url(f"/report?id=rig-{scheme}"))
    told = json.loads(report["messages"][0]) if report["messages"] else {}
    assert (told["code"], told["reason"]) == (4001, "done")


def test_each_server_keeps_its_schedule(server: Server) -> None:
    saw = order(url=server.url("/schedule?count=5&then=close"))
    assert saw["messages"] == ["0", "1", "2", "3", "4"]
    assert (saw["code"], saw["reason"]) == (4000, "end of schedule")


def test_each_server_closes_with_the_code_asked_for_or_with_none(
    server: Server,
) -> None:
    assert order(url=server.url("/close?code=4002&reason=why"))["code"] == 4002
    assert order(url=server.url("/close"))["code"] == 1005


def test_each_server_refuses_with_plain_http(server: Server) -> None:
    saw = order(url=server.url("/refuse?status=503&retry-after=7"))
    assert (saw["status"], saw["body"]) == (503, "nope")
    assert ["Retry-After", "7"] in saw["headers"]


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


def test_a_missing_peer_is_a_skip_and_a_failure_where_all_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WSCLIENT_REQUIRE_PEERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no such peer"):
        missing("there is no such peer")
    monkeypatch.setenv("WSCLIENT_REQUIRE_PEERS", "1")
    with pytest.raises(pytest.fail.Exception, match="no such peer"):
        missing("there is no such peer")
