"""Texts and bytes as they are."""

from __future__ import annotations

from typing import Any

import pytest

from wsclient.errors import MessageTypeError
from wsclient.subprotocols import Plain
from wsclient.supervisor import Topic


def test_a_factory_is_a_value() -> None:
    assert Plain() == Plain()
    assert hash(Plain()) == hash(Plain())
    assert Plain()() is not Plain()()


@pytest.mark.parametrize("message", ["text", b"binary", "", b""])
def test_messages_pass_as_they_are(message: str | bytes) -> None:
    it = Plain()()
    assert it.encode(message) is message
    assert list(it.decode(message)) == [message]
    assert not it.routes


@pytest.mark.parametrize(
    "message", [{"op": "x"}, ["a"], bytearray(b"x"), memoryview(b"x"), 1, None]
)
def test_anything_else_is_refused_with_the_remedy(message: Any) -> None:
    kind = type(message).__name__
    with pytest.raises(MessageTypeError, match=rf"{kind}.*JsonTopics\(\)"):
        Plain()().encode(message)


def test_each_subscription_stands_for_itself() -> None:
    it = Plain()()
    assert it.key(Topic(3, "sub", b"unsub")) == 3
    assert it.key(Topic(4, "sub")) == 4
    assert list(it.subscribe(Topic(3, "sub"))) == ["sub"]
    for topic in Topic(5, {"a": 1}), Topic(5, "sub", {"a": 1}):
        with pytest.raises(MessageTypeError):
            it.key(topic)
