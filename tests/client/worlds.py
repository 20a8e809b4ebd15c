"""The worlds that a test of the whole client runs in."""

from __future__ import annotations

from typing import Any

import pytest

from .authority import issued
from .world import Loopback, Net, Script

__all__ = ("BARE", "NETS", "WORLDS", "SecureLoopback", "SecureNet")


class SecureLoopback(Loopback):
    """Real sockets, TLS over them, and clients that trust it."""

    def __init__(self, *scripts: Script | Exception, **options: Any) -> None:
        super().__init__(*scripts, tls=issued().server, **options)

    def _options(self) -> dict[str, Any]:
        return {"tls": issued().client}


class SecureNet(Net):
    """TLS over wires in memory, and clients that trust it."""

    def __init__(self, *scripts: Script | Exception, **options: Any) -> None:
        super().__init__(*scripts, tls=issued().server, **options)

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "tls": issued().client}


NETS = pytest.mark.parametrize("net_of", [Net, SecureNet], ids=["plain", "tls"])
"""In memory and in virtual time, plain and over TLS."""

BARE = pytest.mark.parametrize(
    "world", [Net, pytest.param(Loopback, marks=pytest.mark.real)]
)
"""In memory and on sockets, for tests that bring TLS themselves."""

WORLDS = pytest.mark.parametrize(
    "world",
    [
        Net,
        pytest.param(Loopback, marks=pytest.mark.real),
        pytest.param(SecureLoopback, marks=pytest.mark.real),
    ],
)
"""In memory, on sockets, and over TLS on sockets."""
