"""What the processes of these tests need."""

from __future__ import annotations

from pathlib import Path

import pytest

import wsclient


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process import the package that is tested, wherever it is started."""
    monkeypatch.setenv("PYTHONPATH", str(Path(wsclient.__file__).parents[1]))
