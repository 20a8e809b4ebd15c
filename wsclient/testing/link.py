"""One connection of a simulated network, and the ways to break it."""

from __future__ import annotations

from typing import Literal

import anyio

from .pipe import Pipe
from .wires import SimulatedWire

__all__ = ("Link", "Way")

Way = Literal["up", "down", "both"]
"""Up leads from who dialled to who listens, down leads back."""


class Link:
    """
    One connection of a simulated network: its record, and the ways to break it.

    Attributes:
        number: counted from 1 in the network, in the order they came about.
        near, far: the names of the host that dialled and of the one that listens.
        opened_at: when it came about, on the event loop's clock.
        up, down: its two pipes, which tell what was sent and what was received.

    """

    def __init__(
        self,
        number: int,
        near: str,
        far: str,
        wires: tuple[SimulatedWire, SimulatedWire],
    ) -> None:
        self.number = number
        self.near = near
        self.far = far
        self.opened_at = anyio.current_time()
        self.up: Pipe = wires[0].out
        self.down: Pipe = wires[0].into
        self._wires = wires

    def __repr__(self) -> str:
        return f"<Link {self.number} from {self.near} to {self.far}>"

    @property
    def live(self) -> bool:
        """Whether the end that dialled is open."""
        return not self._wires[0].closed

    def ends_at(self, wire: object) -> bool:
        """Whether this is the wire of the end that listens."""
        return self._wires[1] is wire

    @property
    def over(self) -> bool:
        """Whether both ends are closed."""
        return self._wires[0].closed and self._wires[1].closed

    def reset(self, *, losing: bool = False) -> None:
        """
        Break it: both ends are told by a reset, after what had been sent.

        Args:
            losing: drop what is on its way.

        """
        for pipe in self._pipes("both"):
            pipe.reset(losing=losing)

    def eof(self, way: Way = "down") -> None:
        """
        Say FIN in an end's name, as a middlebox does that has had enough.

        To TLS it is a ragged end: no close_notify stands before it.

        """
        for pipe in self._pipes(way):
            pipe.eof()

    def silence(self, way: Way = "both") -> None:
        """Let nothing arrive any more: a black hole. It takes what its buffer holds."""
        for pipe in self._pipes(way):
            pipe.silence()

    def stall(self, way: Way = "both") -> None:
        """Take no more bytes, as of a host whose buffers are full."""
        for pipe in self._pipes(way):
            pipe.stall()

    def heal(self) -> None:
        """End :meth:`silence` and :meth:`stall`: what was on its way arrives now."""
        self._heal(None)

    def _pipes(self, way: Way) -> list[Pipe]:
        ways = {"up": [self.up], "down": [self.down], "both": [self.up, self.down]}
        if way not in ways:
            raise ValueError(f"way={way!r}: give 'up', 'down' or 'both'")
        return ways[way]

    def _silence(self, cause: object) -> None:
        for pipe in self._pipes("both"):
            pipe.silence(cause)

    def _heal(self, cause: object) -> None:
        for pipe in self._pipes("both"):
            pipe.heal(cause)
