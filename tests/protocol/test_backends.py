"""Backends of compression: who is taken when, and who is missing."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator

import pytest

from wsclient.errors import ArgumentError
from wsclient.protocol.backends import (
    check_backend,
    for_deflating,
    for_inflating,
    maybe_load,
)

MODULES = {"isal": "isal.isal_zlib", "zlib-ng": "zlib_ng.zlib_ng"}
LEVELS = range(-1, 10)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Leave but these of the optional backends installed."""

    def leave(*backends: str) -> None:
        for backend, module in MODULES.items():
            if backend in backends:
                pytest.importorskip(module)
            else:
                monkeypatch.setitem(sys.modules, module, None)

    maybe_load.cache_clear()
    yield leave
    maybe_load.cache_clear()


def chosen(backend: str, level: int) -> tuple[str, int]:
    library, own = for_deflating(backend, level)
    return library.__name__, own


def test_auto_takes_the_fastest_that_compresses_no_worse(
    only: Callable[..., None],
) -> None:
    only("isal", "zlib-ng")
    for level in LEVELS:
        expected = {0: ("zlib", 0), 1: ("isal.isal_zlib", 1)}.get(
            level, ("zlib_ng.zlib_ng", level)
        )
        assert chosen("auto", level) == expected
    assert for_inflating("auto").__name__ == "zlib_ng.zlib_ng"


def test_without_isal_auto_takes_zlib_ng_at_level_1_too(
    only: Callable[..., None],
) -> None:
    only("zlib-ng")
    assert chosen("auto", 1) == ("zlib_ng.zlib_ng", 2)


def test_without_zlib_ng_auto_takes_isal_at_level_1_only(
    only: Callable[..., None],
) -> None:
    only("isal")
    for level in LEVELS:
        expected = ("isal.isal_zlib", 1) if level == 1 else ("zlib", level)
        assert chosen("auto", level) == expected
    assert for_inflating("auto") is zlib


def test_with_the_standard_library_alone_auto_is_zlib(
    only: Callable[..., None],
) -> None:
    only()
    for level in LEVELS:
        assert for_deflating("auto", level) == (zlib, level)
    assert for_inflating("auto") is zlib


def test_levels_are_on_the_scale_of_zlib(backend: str) -> None:
    levels = [for_deflating(backend, level)[1] for level in LEVELS]
    assert (
        levels
        == {
            "zlib": [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
            "isal": [3, 0, 1, 2, 3, 3, 3, 3, 3, 3, 3],
            "zlib-ng": [-1, 0, 2, 2, 3, 4, 5, 6, 7, 8, 9],
        }[backend]
    )


def test_one_asked_for_by_name_compresses_and_all_but_isal_inflate(
    backend: str,
) -> None:
    compresses, inflates = for_deflating(backend, 6)[0], for_inflating(backend)
    assert compresses.__name__.startswith(backend.replace("-", "_"))
    assert (inflates is compresses) is (backend != "isal")


def test_with_isal_zlib_inflates_where_zlib_ng_is_missing(
    only: Callable[..., None],
) -> None:
    only("isal")
    assert for_inflating("isal") is zlib


@pytest.mark.parametrize("name", MODULES)
def test_one_asked_for_by_name_must_be_installed(
    only: Callable[..., None], name: str
) -> None:
    only()
    with pytest.raises(ArgumentError, match=r"pip install 'wsclient\[speed\]'"):
        check_backend(name)
    check_backend("auto")
    check_backend("zlib")


@pytest.mark.parametrize("name", ["", "zlib_ng", None, 1, ["zlib"]])
def test_a_name_that_is_none_is_refused(name: object) -> None:
    with pytest.raises(ArgumentError, match='must be "auto", "zlib"'):
        check_backend(name)
