"""Packages of npm's, installed at first use."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .processes import missing


def npm_package(name: str, version: str) -> Path:
    """
    Return a folder whose node_modules holds a package, installing it at first use.

    It lies under ``WSCLIENT_TEST_CACHE``, else in the user's cache.

    """
    npm = shutil.which("npm")
    if not shutil.which("node") or not npm:
        missing(f"there is no node and npm to run the {name} package with")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Path(os.environ.get("WSCLIENT_TEST_CACHE") or caches / "wsclient-tests")
    folder = cache / f"{name}-{version}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    # Installed aside and moved at once: another run may be installing too.
    with tempfile.TemporaryDirectory(dir=cache) as aside:
        made = Path(aside, "made")
        made.mkdir()
        options = [
            "--no-audit",
            "--no-fund",
            f"{name}@{version}",
            "--prefix",
            str(made),
        ]
        done = subprocess.run(
            [npm, "install", *options], capture_output=True, text=True, timeout=120
        )
        if done.returncode:
            missing(f"npm cannot install {name}@{version}: {done.stderr.strip()}")
        try:
            made.rename(folder)
        except OSError:
            if not folder.exists():
                raise
    return folder
