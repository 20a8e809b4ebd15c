"""Which codec runs."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType

import pytest

import wsclient
from wsclient.protocol import _codec_py, codec


def test_the_native_codec_runs_if_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    native = ModuleType("wsclient.protocol._codec")
    monkeypatch.setitem(sys.modules, native.__name__, native)
    assert codec.choose(pure=False) is native


def test_pure_python_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    native = ModuleType("wsclient.protocol._codec")
    monkeypatch.setitem(sys.modules, native.__name__, native)
    assert codec.choose(pure=True) is _codec_py


def test_without_a_native_codec_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    # None in sys.modules makes the import fail, whether or not it is installed.
    monkeypatch.setitem(sys.modules, "wsclient.protocol._codec", None)
    assert codec.choose(pure=False) is _codec_py


def test_the_name_of_what_runs_is_public() -> None:
    assert wsclient.CODEC in ("python", "native")
    assert (wsclient.CODEC == "python") is (codec.scan is _codec_py.scan)


def test_the_environment_forces_python() -> None:
    command = [sys.executable, "-c", "import wsclient; print(wsclient.CODEC)"]
    for value, expected in [("1", "python"), ("0", None), ("", None)]:
        environment = {**os.environ, "WSCLIENT_PURE": value}
        told = subprocess.check_output(command, env=environment, text=True).strip()
        available = "python" if codec.choose(pure=False) is _codec_py else "native"
        assert told == (expected or available)
