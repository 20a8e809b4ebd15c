"""The sanitizers find nothing in the native codec, and would."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .sanitized import SOURCE, main

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="it takes a C compiler"),
]

BREAKS = {
    "reads behind the end": ("length > end || payload + length > end || ", ""),
    "writes behind the end": ("i + sizeof word <= size", "i < size"),
    "takes text that is none": ("first == TEXT);", "0);"),
    "masks with another byte": ("key[i & 3]", "key[i & 1]"),
}


def test_nothing_is_found() -> None:
    assert main(["--seconds", "1"]) == 0


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_found(name: str, tmp_path: Path) -> None:
    good, bad = BREAKS[name]
    text = SOURCE.read_text(encoding="utf-8")
    assert text.count(good) == 1
    source = tmp_path / "_codec.c"
    source.write_text(text.replace(good, bad), encoding="utf-8")
    assert main(["--seconds", "10", "--source", str(source)]) != 0
