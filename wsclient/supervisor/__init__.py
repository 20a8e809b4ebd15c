"""Keeps a conversation alive over many connections; knows nothing of frames."""

from .backoff import FullJitter, Stop, Wait, stop_never
from .flow import Overflow
from .inbox import Inbox, WithGaps
from .judge import Classify
from .lifecycle import (
    AttemptFailed,
    Attempting,
    Event,
    Events,
    LifeEnded,
    Proven,
    Refused,
    State,
    StateChanged,
    Stats,
)
from .outbox import Fate, Receipt, WhenDown
from .policy import classify_default
from .seam import (
    Ack,
    Attempt,
    Connect,
    Conversation,
    Data,
    Fatal,
    Gap,
    Kind,
    Link,
    OnConnect,
    Outcome,
    Position,
    Reply,
    Retry,
    Sink,
    Subprotocol,
    Topic,
    Verdict,
)
from .subscriptions import Subscribing, Subscription
from .supervisor import Supervisor

__all__ = (
    "Ack",
    "Attempt",
    "AttemptFailed",
    "Attempting",
    "Classify",
    "Connect",
    "Conversation",
    "Data",
    "Event",
    "Events",
    "Fatal",
    "Fate",
    "FullJitter",
    "Gap",
    "Inbox",
    "Kind",
    "LifeEnded",
    "Link",
    "OnConnect",
    "Outcome",
    "Overflow",
    "Position",
    "Proven",
    "Receipt",
    "Refused",
    "Reply",
    "Retry",
    "Sink",
    "State",
    "StateChanged",
    "Stats",
    "Stop",
    "Subprotocol",
    "Subscribing",
    "Subscription",
    "Supervisor",
    "Topic",
    "Verdict",
    "Wait",
    "WhenDown",
    "WithGaps",
    "classify_default",
    "stop_never",
)
