"""The Autobahn test suite itself: a Python 2.7 of its own, made at first use."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from ..peers.processes import Peer

SUITE = "autobahntestsuite==25.10.1"
VIRTUALENV = "virtualenv==20.21.1"  # the last that makes environments of Python 2.7
PATIENCE = 600  # seconds for each step of the installation; a hang guard

LIST_CASES = """
import json
from autobahntestsuite import case
from autobahntestsuite.caseset import CaseSet
parts = case.CaseCategories, case.CaseSubCategories
cases = CaseSet(case.CaseSetname, case.CaseBasename, case.Cases, *parts)
print json.dumps(cases.parseSpecCases({"cases": ["*"]}))
"""


class Missing(Exception):
    """The suite cannot be had here; the text says why."""


@cache
def python27() -> Path:
    """
    Return the interpreter of an environment that has the suite.

    It lies under ``WSCLIENT_TEST_CACHE``, else in the user's cache.

    Raises:
        Missing: there is no Python 2.7, or the suite cannot be installed.

    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Path(os.environ.get("WSCLIENT_TEST_CACHE") or caches / "wsclient-tests")
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache.resolve() / SUITE.replace("==", "-")
    complete = folder / "complete"
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be installing too
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder)
            complete.touch()
    return folder / "suite" / "bin" / "python"


def _install(folder: Path) -> None:
    tool, suite = folder / "tool", folder / "suite"
    interpreter = _find_python27()
    quiet = "--quiet", "--disable-pip-version-check"
    steps: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", tool],
        [tool / "bin" / "python", "-m", "pip", "install", *quiet, VIRTUALENV],
        [tool / "bin" / "python", "-m", "virtualenv", "--python", interpreter, suite],
        [suite / "bin" / "python", "-m", "pip", "install", *quiet, SUITE],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            said = (done.stdout + done.stderr).strip()[-2000:]
            raise Missing(f"{SUITE} cannot be installed: {step} says {said}")


def _find_python27() -> str:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [path for path in [shutil.which("python2.7")] if path]
    found += map(str, pyenv.glob("versions/2.7.*/bin/python2.7"))
    check = "import sys; sys.exit(sys.version_info[:2] != (2, 7))"
    for interpreter in found:
        # A shim of pyenv's may be on the path and lead nowhere.
        done = subprocess.run([interpreter, "-c", check], capture_output=True)
        if not done.returncode:
            return interpreter
    raise Missing("there is no Python 2.7 to run the Autobahn test suite with")


def all_cases() -> list[str]:
    """Return the names of all cases that the suite has, in its order."""
    listed = subprocess.run(
        [python27(), "-c", LIST_CASES], capture_output=True, text=True, check=True
    )
    cases: list[str] = json.loads(listed.stdout)
    return cases


def wstest(mode: str, spec: dict[str, object], folder: Path) -> Peer:
    """Start the suite in one of its modes; its report will be in ``folder``."""
    path = folder / "spec.json"
    path.write_text(
        json.dumps(
            spec
            | {
                "outdir": str(folder / "report"),
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
        )
    )
    options = ["-m", mode, "-s", str(path), "-u", "0"]
    command = [str(python27()), "-m", "autobahntestsuite.wstest", *options]
    aside = ["sh", "-c", 'exec "$@" >&2', "sh"]  # what it says goes to the log
    return Peer([*aside, *command], folder / "wstest.log")
