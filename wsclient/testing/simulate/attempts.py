"""How often a client dials, and after which pauses: what it must keep to."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import anyio
import tenacity

from ...supervisor import FullJitter
from ...wire import Reached, Wire
from ..network import Network
from .judge import Judge

__all__ = ("Attempts",)

EPSILON = 1e-6  # seconds: rounding


class Attempts:
    """
    A client's ``dial`` and ``wait``: both go on to others, and are judged.

    Args:
        network: where it dials, and what has the records.
        jitter: what says how long it waits.
        stable_after: the shortest life that can be proven, in seconds.
        judge: told what must hold.

    """

    def __init__(
        self,
        network: Network,
        jitter: FullJitter,
        stable_after: float,
        judge: Judge,
    ) -> None:
        self._network = network
        self._jitter = jitter
        self._stable_after = stable_after
        self._judge = judge
        self._dialling = False
        self._not_before = -inf
        self._links = 0  # those there were when it waited last
        self._failures = 0  # since the last life that may have been proven
        self._marked = False

    def reconnect(self) -> None:
        """The user has asked for it: no pause is owed."""
        self._not_before = -inf

    def mark_healthy(self) -> None:
        """The user has said that the present life is proven."""
        self._marked = True

    async def dial(
        self, host: str, port: int, *, tls: object | None, reached: Reached
    ) -> Wire:
        """Dial through the network; one at a time, and not before the pause is over."""
        live = self._network.live
        self._judge(
            "dials one connection at a time",
            not (self._dialling or live),
            f"it dials again while {live or 'it dials'}",
        )
        early = self._not_before - anyio.current_time()
        self._judge(
            "waits as long as it should",
            early <= EPSILON,
            f"it dials {early:g} s too early",
        )
        self._dialling = True
        try:
            return await self._network.dial(host, port, tls=tls, reached=reached)
        finally:
            self._dialling = False

    def wait(self, state: tenacity.RetryCallState) -> float:
        """Give the pause after a failure; each without proof must have been counted."""
        now = anyio.current_time()
        links = self._network.links[self._links :]
        moments = [*(link.opened_at for link in links), now]
        longest = max((end - begin for begin, end in pairwise(moments)), default=0.0)
        if self._marked or longest >= self._stable_after:
            self._failures = 0
        self._links += len(links)
        self._marked = False
        self._failures += 1
        self._judge(
            "counts attempts since the last proof of life",
            state.attempt_number >= self._failures,
            f"number {state.attempt_number} after {self._failures} without proof",
        )
        pause = self._jitter(state)
        self._not_before = now + pause
        return pause
