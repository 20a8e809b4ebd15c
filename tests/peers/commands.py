"""How the peers beside this module are run, or why they cannot be."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from .npm import npm_package
from .processes import missing

HERE = Path(__file__).parent

Command = list[str | Path]


def python(module: str, *arguments: str, needs: tuple[str, ...]) -> Command:
    """Run a module beside this one with this Python, which must have these packages."""
    for package in needs:
        if importlib.util.find_spec(package) is None:
            missing(f"there is no Python package {package}; the test extra brings it")
    return [sys.executable, "-m", f"tests.peers.{module}", *arguments]


def node(script: str) -> Command:
    """Run a script with node; its first argument is the folder that holds ``ws``."""
    package = npm_package("ws", "8")
    return ["node", HERE / script, package]
