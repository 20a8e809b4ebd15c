"""Packages of npm's, installed at first use."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from .processes import missing


def npm_package(name: str, version: str) -> Path:
    """
    Return a folder whose node_modules holds a package, installing it at first use.

    It lies under ``WSCLIENT_TEST_CACHE``, else in the user's cache.

    """
    found = _installed(name, version)
    if isinstance(found, str):
        missing(found)
    return found


@cache
def _installed(name: str, version: str) -> Path | str:
    """Return the folder, or why there is none; a failure is not tried again."""
    npm = shutil.which("npm")
    if not shutil.which("node") or not npm:
        return f"there is no node and npm to run the {name} package with"
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("WSCLIENT_TEST_CACHE") or caches / "wsclient-tests")
    folder.mkdir(parents=True, exist_ok=True)
    package = folder / f"{name}-{version}"
    if package.exists():
        return package
    # Installed aside and moved at once: another run may be installing too.
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        made = Path(aside, "made")
        made.mkdir()
        what = [f"{name}@{version}", "--prefix", str(made)]
        done = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", *what],
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode:
            return f"npm cannot install {name}@{version}: {done.stderr.strip()}"
        try:
            made.rename(package)
        except OSError:
            if not package.exists():
                raise
    return package
