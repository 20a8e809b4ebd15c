"""JSON values, routed by a member."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import ArgumentError, MessageTypeError
from wsclient.subprotocols import JsonTopics
from wsclient.supervisor import Ack, Topic

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_what_is_encoded_is_decoded(value: Any) -> None:
    it = JsonTopics()()
    message = it.encode(value)
    assert isinstance(message, str)
    assert list(it.decode(message)) == [value]
    assert list(it.decode(message.encode("utf-8", "surrogatepass"))) == [value]


@given(JSON, st.text())
def test_any_value_can_be_routed(value: Any, key: str) -> None:
    it = JsonTopics(key=key or "k")()
    expected = value.get(key or "k") if isinstance(value, dict) else None
    assert it.route(value) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}, b"x", object()])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(MessageTypeError, match="no JSON value"):
        JsonTopics()().encode({"x": value})
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(MessageTypeError):
        JsonTopics()().encode(loop)


def test_the_topic_itself_is_the_message_and_its_member_the_key() -> None:
    it = JsonTopics()()
    topic = Topic(1, {"channel": "trades", "depth": 3})
    assert it.key(topic) == "trades"
    assert list(it.subscribe(topic)) == [{"channel": "trades", "depth": 3}]
    assert list(it.unsubscribe(topic)) == []
    leave = Topic(1, {"channel": "trades"}, {"leave": "trades"})
    assert list(it.unsubscribe(leave)) == [{"leave": "trades"}]
    assert it.route({"channel": "trades"}) == "trades"
    assert it.route({"other": 1}) is None
    assert it.route(["channel"]) is None


def test_functions_say_what_is_sent() -> None:
    factory = JsonTopics(
        key="c",
        subscribe=lambda topic: {"op": "sub", "c": topic},
        unsubscribe=lambda topic: {"op": "unsub", "c": topic},
        ack=lambda message: message.get("done"),
    )
    assert factory == factory
    it = factory()
    topic = Topic(1, "news")
    assert it.key(topic) == "news"
    assert list(it.subscribe(topic)) == [{"op": "sub", "c": "news"}]
    assert list(it.unsubscribe(topic)) == [{"op": "unsub", "c": "news"}]
    assert list(it.unsubscribe(Topic(1, "news", "mine"))) == ["mine"]
    assert it.acks
    assert it.route({"done": "news"}) == Ack("news")
    assert it.route({"c": "news"}) == "news"


def test_a_topic_without_the_member_says_which_one() -> None:
    with pytest.raises(ArgumentError, match=r"no member 'channel'.*key="):
        JsonTopics()().key(Topic(1, {"chan": "x"}))


def test_a_topic_that_is_no_json_is_refused() -> None:
    for topic in Topic(1, {"channel": {1}}), Topic(1, "x", {1}):
        with pytest.raises(MessageTypeError):
            JsonTopics()().key(topic)


@pytest.mark.parametrize(
    ("name", "value"),
    [("key", ""), ("key", 3), ("subscribe", "x"), ("unsubscribe", 1), ("ack", {})],
)
def test_bad_arguments_fail_at_the_call_by_name(name: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=name):
        JsonTopics(**{name: value})


def test_texts_are_short_and_readable() -> None:
    assert JsonTopics()().encode({"a": ["ü", 1]}) == '{"a":["ü",1]}'
    assert json.loads("1") == 1
