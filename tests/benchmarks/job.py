"""What one process is to measure, as it is told on its command line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ("LIMIT", "MEMORY", "WINDOW", "Job")

LIMIT = 1 << 22  # bytes of a message that everybody accepts
WINDOW = 15  # bits; zlib's most, and with
MEMORY = 8  # its default of memory what picows and aiohttp always take


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """
    One measurement in a process of its own.

    ``library`` is ``module:function`` under ``tests.benchmarks.libraries``; for the
    measure ``import`` it is the statement. ``seconds`` is how long to measure,
    ``clients`` how many connections a fleet has, ``keepalive`` the seconds between
    pings, ``outage`` the seconds that the peer refuses, ``authority`` the file of the
    certificate authority if the peer speaks TLS, and ``settings`` what else the library
    is told.

    """

    measure: str
    library: str
    backend: str = "asyncio"
    loop: str | None = None
    url: str = ""
    size: int = 64
    deflate: bool = False
    seconds: float = 0.4
    clients: int = 1
    keepalive: float | None = None
    outage: float = 0.0
    authority: str | None = None
    core: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def queue(self) -> int:
        """Messages to hold: nobody shall stop and start reading for a short queue."""
        return max(16, min(4096, LIMIT // self.size))

    def told(self) -> str:
        """Write it as an argument."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, argument: str) -> Job:
        """Read the argument."""
        return cls(**json.loads(argument))
