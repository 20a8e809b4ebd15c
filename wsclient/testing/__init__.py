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
    "Pipe",
    "Proxy",
    "ProxyLink",
    "ProxyPipe",
    "SimulatedWire",
    "Tap",
    "check_wire",
    "lend",
    "suspend",
    "trouble",
    "virtual_backend",
    "wire_pair",
)

_HOMES = {
    "VIRTUAL_BACKENDS": "clock",
    "Deadlock": "clock",
    "suspend": "clock",
    "virtual_backend": "clock",
    "WIRE_CHECKS": "contract",
    "Tap": "tap",
    "check_wire": "contract",
    "lend": "tap",
    "Dialled": "network",
    "Host": "network",
    "Link": "link",
    "Network": "network",
    "Pipe": "pipe",
    "Proxy": "proxy",
    "ProxyLink": "proxy_link",
    "ProxyPipe": "proxy_link",
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
