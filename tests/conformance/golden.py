"""The golden file: what the suite is to say of each case, whoever plays it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PATH = Path(__file__).with_name("expected-results.json")

OK = "OK"
INFORMATIONAL = "INFORMATIONAL"

# Compression is tested by sizes; beyond these the cases only grow.
COMPRESSED = re.compile(r"12\.[12]\.\d+|1(?:2\.[345]|3\.[1-7])\.[1-6]")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the suite says of a case: what was answered, and how it was closed."""

    behavior: str
    close: str

    @property
    def strict(self) -> bool:
        return self.behavior == self.close == OK

    @property
    def informational(self) -> bool:
        """Whether the suite only tells what happened; it does so whatever happens."""
        return self.behavior == self.close == INFORMATIONAL

    def __str__(self) -> str:
        return f"{self.behavior} / {self.close}"


@dataclass(frozen=True, slots=True)
class Judged:
    """What the suite says of the cases of a run, as verdicts and in words."""

    verdicts: Mapping[str, Verdict]
    words: Mapping[str, str]


def is_base(case: str) -> bool:
    """Whether it is one of the 301 that test RFC 6455 alone."""
    return not case.startswith(("12.", "13."))


def chosen(cases: Iterable[str]) -> list[str]:
    """Return those of the suite's cases that we run."""
    return [case for case in cases if is_base(case) or COMPRESSED.fullmatch(case)]


@dataclass(frozen=True, slots=True)
class Golden:
    """The expected verdicts, and why some cases have none that could fail."""

    expected: dict[str, Verdict]
    informational: dict[str, str]

    @classmethod
    def load(cls) -> Self:
        read = json.loads(PATH.read_text(encoding="utf-8"))
        expected = {case: Verdict(*said) for case, said in read["expected"].items()}
        return cls(expected, read["informational"])

    @property
    def cases(self) -> list[str]:
        return list(self.expected)

    @property
    def base(self) -> list[str]:
        return [case for case in self.expected if is_base(case)]

    def differences(self, cases: Iterable[str], judged: Judged) -> list[str]:
        """Return a line for each case that was to be judged and was not judged so."""
        found = []
        for case in cases:
            expected = self.expected.get(case, "nothing")
            seen = judged.verdicts.get(case, "no verdict")
            if seen != expected:
                words = judged.words.get(case, "it was not run")
                found.append(f"{case}: {seen}, expected {expected}: {words}")
        return found

    def updated(self, seen: Mapping[str, Verdict]) -> Golden:
        """
        Take over new verdicts.

        Raises:
            ValueError: one is neither strictly OK nor informational with a reason: that
                is to be mended, not written down.

        """
        bad = [
            f"{case}: {verdict}"
            for case, verdict in seen.items()
            if not verdict.strict
            and not (verdict.informational and case in self.informational)
        ]
        if bad:
            raise ValueError("not to be written down:\n" + "\n".join(bad))
        merged = self.expected | dict(seen)
        ordered = sorted(merged, key=lambda case: [int(n) for n in case.split(".")])
        return Golden({case: merged[case] for case in ordered}, self.informational)

    def text(self) -> str:
        """Return it with one case a line, so that a change shows what has changed."""
        reasons = ",\n".join(
            f"    {json.dumps(case)}: {json.dumps(why)}"
            for case, why in self.informational.items()
        )
        verdicts = ",\n".join(
            f"    {json.dumps(case)}: {json.dumps([said.behavior, said.close])}"
            for case, said in self.expected.items()
        )
        return (
            f'{{\n  "informational": {{\n{reasons}\n  }},\n'
            f'  "expected": {{\n{verdicts}\n  }}\n}}\n'
        )
