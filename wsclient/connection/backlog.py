"""What has arrived and waits to be received: its size, and its bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ..protocol import Limits, Part

__all__ = ("Backlog",)

# An empty deque takes 760 bytes: who has received nothing has none of its own.
_NO_MESSAGES: deque[str | bytes] = deque(maxlen=0)
_NO_PARTS: deque[Part] = deque(maxlen=0)


class Backlog:
    """
    The messages of one connection that nobody has received yet.

    Bytes are counted as they come. What is taken is subtracted only when a bound seems
    to be reached, so that taking a message costs nothing but taking it.

    """

    __slots__ = ("_limits", "_size", "messages", "parts")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._size = 0  # bytes of both, at most
        self.messages = _NO_MESSAGES
        self.parts = _NO_PARTS
        """Of a message that is received in parts."""

    def add(self, messages: Sequence[str | bytes]) -> bool:
        """Append messages; return whether it is full now."""
        queue = self.messages
        if not queue:
            if queue is _NO_MESSAGES:
                queue = self.messages = deque()
            if not self.parts:
                self._size = 0
        queue += messages
        one = len(messages) == 1  # as it mostly is where each is waited for
        size = self._size + (len(messages[0]) if one else sum(map(len, messages)))
        self._size = size
        limits = self._limits
        return (
            len(queue) >= limits.max_queue or size >= limits.max_queue_bytes
        ) and self.full

    def put_back(self, message: str | bytes) -> deque[str | bytes]:
        """Make it the next message; return the queue."""
        self.messages = deque([message, *self.messages])
        self._size += len(message)
        return self.messages

    def add_part(self, part: Part) -> deque[Part]:
        """Append a part of a message; return the parts."""
        if self.parts is _NO_PARTS:
            self.parts = deque()
        self.parts.append(part)
        self._size += len(part.data)
        return self.parts

    def reaches(self, size: int) -> bool:
        """Whether that many bytes wait, or more."""
        return self._size >= size and self.size() >= size

    def size(self) -> int:
        """Count the bytes that wait."""
        self._size = sum(map(len, self.messages))
        self._size += sum(len(part.data) for part in self.parts)
        return self._size

    @property
    def full(self) -> bool:
        """Whether a bound is reached; one message always fits."""
        limits = self._limits
        return len(self.messages) >= limits.max_queue or self.reaches(
            limits.max_queue_bytes
        )

    def low(self) -> int:
        """Return how many messages may be left when reading goes on: half as much."""
        most = self._limits.max_queue // 2
        room = self._limits.max_queue_bytes // 2
        if self._size <= room or self.size() <= room:
            return most
        count = 0
        for message in reversed(self.messages):
            room -= len(message)
            if room < 0 or count == most:
                break
            count += 1
        return count
