"""
Runs the native codec under AddressSanitizer and UBSan, beside its twin in Python.

::

    python -m tests.fuzz.sanitized                  # 30 s
    python -m tests.fuzz.sanitized --seconds 600

It compiles ``_codec.c`` anew with the sanitizers of gcc or clang, then lets both twins
do the same with the same random frames, whole, cut and changed. Where they differ, or a
sanitizer has something to say, the command ends with a status that is not 0.

"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import sysconfig
import time
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from wsclient.protocol import _codec_py

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "wsclient" / "protocol" / "_codec.c"
CORPUS = Path(__file__).with_name("corpus") / "frames"
FLAGS = [
    *("-shared", "-fPIC", "-O1", "-g", "-fno-omit-frame-pointer"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
]
LENGTHS = (0, 1, 2, 3, 4, 7, 8, 9, 125, 126, 127, 300, 65535, 65536)


def build(source: Path, folder: Path) -> Path:
    """Compile the codec with its sanitizers."""
    library = folder / "_codec.so"
    include = sysconfig.get_path("include")
    command = ["gcc", *FLAGS, f"-I{include}", str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    return library


def environment() -> dict[str, str]:
    """What a process needs to load such a library into a Python that has none."""
    command = ["gcc", "-print-file-name=libasan.so"]
    runtime = subprocess.run(command, check=True, capture_output=True, text=True)
    return {
        **os.environ,
        "LD_PRELOAD": runtime.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python itself keeps much until the end
        "PYTHONMALLOC": "malloc",  # else all small objects lie in one large block
        "PYTHONPATH": str(ROOT),
    }


def load(library: Path) -> ModuleType:
    name = "wsclient.protocol._codec"
    spec = spec_from_file_location(name, library)
    assert spec is not None
    assert isinstance(spec.loader, ExtensionFileLoader)
    native = module_from_spec(spec)
    spec.loader.exec_module(native)
    return native


def compare(native: ModuleType, dice: random.Random, corpus: list[bytes]) -> None:
    """Let both do the same, once."""
    frames = [_frame(dice) for _ in range(dice.randrange(4))]
    data = bytearray(b"".join(frames) + dice.choice(corpus))
    for _ in range(dice.randrange(3)):
        if data:
            data[dice.randrange(len(data))] = dice.randrange(256)
    read = dice.choice((bytes, memoryview))
    stream = read(data[: dice.randrange(len(data) + 1)])
    position = dice.choice((0, 0, dice.randrange(20)))
    limit = dice.choice((sys.maxsize, 200, dice.randrange(-1, 70000)))
    for masked in (False, True):
        _same(native, "scan", stream, position, limit, masked)
    payload, key = dice.choice(frames or [stream]), dice.randbytes(4)
    _same(native, "mask", payload, key)
    for given in (key, None):
        _same(native, "encode", dice.randrange(256), payload, given)


def _frame(dice: random.Random) -> bytes:
    first = dice.choice((0x81, 0x82, 0x01, 0x89))
    key = dice.choice((None, dice.randbytes(4)))
    return _codec_py.encode(first, dice.randbytes(dice.choice(LENGTHS)), key)


def _same(native: ModuleType, name: str, *arguments: object) -> None:
    found, expected = (_call(each, name, arguments) for each in (native, _codec_py))
    if found != expected:
        raise AssertionError(
            f"{name}: native gives {found!r:.200}, Python {expected!r:.200}"
        )


def _call(codec: ModuleType, name: str, arguments: tuple[object, ...]) -> object:
    if name != "scan":
        return getattr(codec, name)(*arguments)
    messages: list[str | bytes] = []
    return codec.scan(*arguments, messages), messages


def try_all(library: Path, seconds: float) -> None:
    """Compare for some CPU seconds; the seed of what fails is told."""
    native = load(library)
    corpus = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    seed = 0
    end = time.process_time() + seconds
    while time.process_time() < end:
        try:
            compare(native, random.Random(seed), corpus)
        except AssertionError as error:
            raise SystemExit(f"seed {seed}: {error}") from None
        seed += 1
    print(f"{seed:,} rounds under the sanitizers, nothing found")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description="Fuzz the native codec, sanitized.")
    parser.add_argument("--seconds", type=float, default=30.0, help="CPU time")
    parser.add_argument("--source", type=Path, default=SOURCE, help="of the codec")
    parser.add_argument("--library", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.library is not None:
        try_all(options.library, options.seconds)
        return 0
    with TemporaryDirectory() as folder:
        library = build(options.source, Path(folder))
        command = [sys.executable, "-m", "tests.fuzz.sanitized"]
        command += ["--library", str(library), "--seconds", str(options.seconds)]
        return subprocess.run(command, cwd=ROOT, env=environment()).returncode


if __name__ == "__main__":
    sys.exit(main())
