"""Chooses who runs the hot loops: the native twin if it is there, else Python."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from . import _codec_py

__all__ = ("CODEC", "choose", "encode", "mask", "scan")


def choose(*, pure: bool) -> ModuleType:
    """Return the native codec, or the Python one if ``pure`` or if there is none."""
    if not pure:
        try:
            return import_module(f"{__package__}._codec")
        except ImportError:
            pass  # it is optional: the same functions in Python follow
    return _codec_py


_chosen = choose(pure=os.environ.get("WSCLIENT_PURE", "") not in ("", "0"))

CODEC: str = "python" if _chosen is _codec_py else "native"
"""Which codec runs; ``WSCLIENT_PURE=1`` in the environment forces ``"python"``."""

scan: Callable[[bytes | memoryview, int, int, bool, list[Any]], int] = _chosen.scan
mask: Callable[[bytes | memoryview, bytes], bytes] = _chosen.mask
encode: Callable[[int, bytes, bytes | None], bytes] = _chosen.encode
