"""Who deflates and inflates: zlib, or one of its faster kin with the same interface."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Protocol

from ..errors import ArgumentError

__all__ = (
    "Compressor",
    "Decompressor",
    "check_backend",
    "for_deflating",
    "for_inflating",
    "maybe_load",
)

_MODULES = {"zlib": "zlib", "isal": "isal.isal_zlib", "zlib-ng": "zlib_ng.zlib_ng"}

# What "auto" prefers where zlib-ng is not the best: isal has but one useful speed.
_FOR_LEVEL: dict[int, tuple[str, ...]] = {0: (), 1: ("isal", "zlib-ng")}


class Compressor(Protocol):
    """What ``compressobj()`` of each of them makes."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self, mode: int = ..., /) -> bytes: ...


class Decompressor(Protocol):
    """What ``decompressobj()`` of each of them makes."""

    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


@cache
def maybe_load(backend: str) -> ModuleType | None:
    """Return the module of a backend; None if it is not installed."""
    try:
        return import_module(_MODULES[backend])
    except ImportError:
        return None


def check_backend(backend: object) -> None:
    """
    See that there is such a backend.

    Raises:
        ArgumentError: no such one exists, or it is not installed.

    """
    if backend == "auto":
        return
    if not isinstance(backend, str) or backend not in _MODULES:
        names = ", ".join(f'"{name}"' for name in _MODULES)
        raise ArgumentError(f'backend must be "auto", {names}, not {backend!r}')
    if maybe_load(backend) is None:
        raise ArgumentError(
            f"backend={backend!r} is not installed: pip install 'wsclient[speed]'"
        )


def for_deflating(backend: str, level: int) -> tuple[ModuleType, int]:
    """
    Return what compresses at a level of zlib's scale, and its own level for that.

    "auto" takes the fastest that is installed and compresses about as well as zlib at
    that level: docs/compression.md has the measurements.

    """
    if backend == "auto":
        backend = _first_of(*_FOR_LEVEL.get(level, ("zlib-ng",)))
    library = maybe_load(backend)
    assert library is not None
    if backend == "isal":  # which has 0 to 3
        level = 3 if level < 0 else min(level, 3)
    elif backend == "zlib-ng" and level == 1:
        level = 2  # its level 1 makes a quarter more bytes than zlib's
    return library, level


def for_inflating(backend: str) -> ModuleType:
    """Return what inflates: zlib-ng, unless zlib was asked for or is all there is."""
    # isal only compresses: it inflates what is broken otherwise than zlib does, and
    # small messages more slowly.
    library = maybe_load(backend if backend == "zlib" else _first_of("zlib-ng"))
    assert library is not None
    return library


def _first_of(*names: str) -> str:
    """Return the first that is installed, or else zlib."""
    return next((name for name in names if maybe_load(name)), "zlib")
