"""The golden file, and how a run is compared with it, written into it and split."""

from __future__ import annotations

import re
import shlex
from collections import Counter

import pytest

from ..docs.pages import DOCS, table_of
from .__main__ import parsed, runs_of
from .golden import PATH, Golden, Judged, Verdict, is_base
from .runs import Run
from .test_autobahn import QUICK, SECURE

GOLDEN = Golden.load()
STRICT = Verdict("OK", "OK")
LAX = Verdict("NON-STRICT", "OK")
TOLD = Verdict("INFORMATIONAL", "INFORMATIONAL")


def test_every_case_is_strictly_ok_or_cannot_fail_for_a_reason_that_is_given() -> None:
    lax = {case for case, said in GOLDEN.expected.items() if not said.strict}
    assert lax == GOLDEN.informational.keys()
    assert all(GOLDEN.expected[case].informational for case in lax)
    assert all(len(reason) > 40 for reason in GOLDEN.informational.values())


def test_it_has_all_base_cases_and_those_of_compression_we_run() -> None:
    assert len(GOLDEN.base) == 301
    families = Counter(
        ".".join(case.split(".")[:2]) for case in GOLDEN.cases if not is_base(case)
    )
    assert families == {
        "12.1": 18,
        "12.2": 18,
        "12.3": 6,
        "12.4": 6,
        "12.5": 6,
        **{f"13.{number}": 6 for number in range(1, 8)},
    }


def test_it_is_written_as_it_is_read() -> None:
    assert GOLDEN.text() == PATH.read_text(encoding="utf-8")


def test_what_differs_is_told_with_the_suites_words() -> None:
    seen = Judged(
        {"1.1.1": STRICT, "3.2": LAX, "7.1.6": TOLD},
        {"1.1.1": "Fine.", "3.2": "No echo.", "7.1.6": "Whatever."},
    )
    assert GOLDEN.differences(["1.1.1", "3.2", "7.1.6", "10.1.1"], seen) == [
        "3.2: NON-STRICT / OK, expected OK / OK: No echo.",
        "10.1.1: no verdict, expected OK / OK: it was not run",
    ]
    assert GOLDEN.differences(["99.9"], Judged({"99.9": STRICT}, {"99.9": "New."})) == [
        "99.9: OK / OK, expected nothing: New."
    ]


@pytest.mark.parametrize("verdict", [LAX, TOLD, Verdict("OK", "UNCLEAN")])
def test_what_is_not_strict_is_mended_not_written_down(verdict: Verdict) -> None:
    with pytest.raises(ValueError, match=r"3\.2: "):
        GOLDEN.updated({"3.1": STRICT, "3.2": verdict})


def test_what_is_written_down_stands_in_the_order_of_the_suite() -> None:
    old = Golden({"2.10": STRICT}, {"7.1.6": "why"})
    new = old.updated({"10.1.1": STRICT, "7.1.6": TOLD, "2.9": STRICT})
    assert new.cases == ["2.9", "2.10", "7.1.6", "10.1.1"]
    assert new.informational == {"7.1.6": "why"}


def test_the_parts_of_a_run_are_all_of_it_once() -> None:
    run = Run("client", "trio", False, tuple(GOLDEN.cases))
    parts = list(run.parts())
    assert sorted(case for part in parts for case in part.cases) == sorted(run.cases)
    assert {str(part) for part in parts} == {"client-trio"}
    assert max(parts, key=lambda part: part.weight).cases[0] == "12.2.1"


def test_all_means_both_roles_and_backends_plain_and_the_base_over_tls() -> None:
    runs = runs_of(parsed(["--all"]), GOLDEN.cases)
    assert {str(run): len(run.cases) for run in runs} == {
        f"{role}-{backend}{tls}": 301 if tls else 397
        for role in ("client", "server")
        for backend in ("asyncio", "trio")
        for tls in ("", "-tls")
    }


def test_one_run_can_be_asked_for() -> None:
    asked = [
        "--role",
        "server",
        "--backend",
        "uvloop",
        "--tls",
        "--cases",
        "6.*",
        "12*",
    ]
    [run] = runs_of(parsed(asked), GOLDEN.cases)
    assert str(run) == "server-uvloop-tls"
    assert run.cases[0] == "6.1.1"
    assert all(case.startswith("6.") for case in run.cases)
    assert runs_of(parsed(["--tls", "--cases", "12.*"]), GOLDEN.cases) == []


def test_the_figures_on_the_page_are_those_of_the_file() -> None:
    compression = [case for case in GOLDEN.cases if not is_base(case)]
    rows = table_of("docs/conformance.md", "autobahn")
    for row, cases in zip(rows, [GOLDEN.base, GOLDEN.base, compression], strict=True):
        said = [GOLDEN.expected[case] for case in cases]
        strict = sum(verdict.strict for verdict in said)
        told = sum(verdict.informational for verdict in said)
        assert row[1:] == [str(n) for n in (len(cases), strict, told, 0)]


def test_the_commands_on_the_page_run_what_they_say() -> None:
    page = (DOCS / "conformance.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python -m tests\.conformance (.*)$", page, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert runs_of(parsed(shlex.split(command)), GOLDEN.cases)


def test_the_quick_part_is_as_large_as_the_page_says() -> None:
    page = (DOCS / "conformance.md").read_text(encoding="utf-8")
    assert f": {len(QUICK)} cases in both roles" in page
    assert f"and {len(SECURE)} of\nthem over TLS" in page
