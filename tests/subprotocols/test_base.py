"""What a subprotocol does when it says nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from wsclient.errors import Phase, Reason
from wsclient.subprotocols import Base
from wsclient.supervisor import Kind, Outcome, Subprotocol, Topic


class Minimal(Base[str]):
    pass


async def test_the_defaults() -> None:
    it: Subprotocol[str] = Minimal()
    topic = Topic(7, "news", "no news")
    assert (it.names, it.routes, it.acks) == ((), True, False)
    assert it.key(topic) == 7
    assert list(it.subscribe(topic)) == ["news"]
    assert list(it.unsubscribe(topic)) == ["no news"]
    assert list(it.unsubscribe(Topic(7, "news"))) == []
    assert it.route("x") is None
    outcome = Outcome(kind=Kind.LIFE, reason=Reason.EOF, phase=Phase.OPEN)
    assert it.classify(outcome) is None
    conversation: Any = object()
    await it.hello(conversation)


def test_what_must_be_written_is_named() -> None:
    with pytest.raises(NotImplementedError, match=r"Minimal\.encode"):
        Minimal().encode("x")
    with pytest.raises(NotImplementedError, match=r"Minimal\.decode"):
        Minimal().decode("x")
