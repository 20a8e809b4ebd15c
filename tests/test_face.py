"""The public face: what ``import wsclient`` gives, and what it does not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import wsclient
import wsclient.testing

PACKAGE = Path(wsclient.__file__).parent
FACES = [wsclient, wsclient.testing]
NAMES = [(face, name) for face in FACES for name in face.__all__]


@pytest.mark.parametrize(("face", "name"), NAMES)
def test_every_name_of_a_face_is_there_and_is_documented(
    face: ModuleType, name: str
) -> None:
    value = getattr(face, name)
    assert getattr(value, "__doc__", None)


@pytest.mark.parametrize("face", FACES)
def test_no_name_is_handed_on_twice(face: ModuleType) -> None:
    assert len(set(face.__all__)) == len(face.__all__)


@pytest.mark.parametrize("face", FACES)
def test_type_checkers_see_the_same_face(face: ModuleType) -> None:
    source = Path(str(face.__file__)).with_suffix(".pyi")
    tree = ast.parse(source.read_text(encoding="utf-8"))
    seen = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == set(face.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        wsclient.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_every_public_function_and_method_says_what_it_does() -> None:
    undocumented = [
        f"{name}.{attribute}"
        for name in ("Client", "Connection", "Subscription", "Server", "Receipt")
        for attribute in dir(getattr(wsclient, name))
        if not attribute.startswith("_")
        and not getattr(getattr(wsclient, name), attribute).__doc__
    ]
    assert not undocumented


def loaded_by(statement: str) -> set[str]:
    """Return the heavy modules that a statement loads in a fresh interpreter."""
    heavy = (
        "ssl",
        "trio",
        "rich",
        "tenacity",
        "wsclient.server",
        "wsclient.supervisor",
        "wsclient.testing",
        "wsclient.transport",
    )
    code = f"import sys; {statement}; print(*set({heavy!r}) & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_one_connection_loads_no_supervisor_no_server_no_tls_no_trio() -> None:
    libraries = loaded_by("import anyio, h11")
    assert loaded_by("import wsclient; wsclient.connect") <= libraries


def test_a_client_loads_no_server_no_tls_no_trio() -> None:
    libraries = loaded_by("import anyio, tenacity, h11")
    loaded = loaded_by("import wsclient; wsclient.Client")
    assert loaded - libraries == {"wsclient.supervisor"}


def test_who_looks_around_sees_what_is_not_loaded_yet() -> None:
    code = "import wsclient; print(*set(wsclient.__all__) - set(dir(wsclient)))"
    missing = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert missing == "\n"
