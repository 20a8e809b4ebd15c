"""The test kit: virtual time, a network in memory, the wires' contract."""

from __future__ import annotations

from importlib import import_module

__all__ = (
    "TROUBLES",
    "VIRTUAL_BACKENDS",
    "WIRE_CHECKS",
    "Deadlock",
    "Dialled",
    "Host",
    "Link",
    "Network",
    "Peer",
    "Pipe",
    "Proxy",
    "ProxyLink",
    "ProxyPipe",
    "RecordedConnection",
    "Recording",
    "ReplayMismatch",
    "ScriptedServer",
    "SimulatedWire",
    "Tap",
    "accepts",
    "answers_no_pings",
    "check_wire",
    "closes",
    "drips",
    "garbage",
    "hangs_up",
    "lend",
    "recorded",
    "rejects",
    "resets",
    "sends",
    "silent",
    "suspend",
    "trouble",
    "virtual_backend",
    "wire_pair",
)

_HOMES = {
    "Deadlock": "clock",
    "VIRTUAL_BACKENDS": "clock",
    "suspend": "clock",
    "virtual_backend": "clock",
    "WIRE_CHECKS": "contract",
    "check_wire": "contract",
    "Link": "link",
    "Dialled": "network",
    "Host": "network",
    "Network": "network",
    "Peer": "peer",
    "Pipe": "pipe",
    "Proxy": "proxy",
    "ProxyLink": "proxy_link",
    "ProxyPipe": "proxy_link",
    "recorded": "recorder",
    "RecordedConnection": "recording",
    "Recording": "recording",
    "ReplayMismatch": "recording",
    "ScriptedServer": "script",
    "accepts": "script",
    "answers_no_pings": "script",
    "closes": "script",
    "drips": "script",
    "garbage": "script",
    "hangs_up": "script",
    "rejects": "script",
    "resets": "script",
    "sends": "script",
    "silent": "script",
    "Tap": "tap",
    "lend": "tap",
    "TROUBLES": "troubles",
    "trouble": "troubles",
    "SimulatedWire": "wires",
    "wire_pair": "wires",
}


def __getattr__(name: str) -> object:
    """Load what is asked for and nothing else."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
