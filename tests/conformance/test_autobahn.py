"""
The Autobahn test suite judges wsclient in both roles: what is quick, each time.

All of it: ``python -m tests.conformance --all``.

"""

from __future__ import annotations

from pathlib import Path

import pytest

from ..peers.certificates import Certificates
from ..peers.processes import missing
from .golden import Golden, chosen, is_base
from .runs import ROLES, Run, judge
from .suite import Missing, all_cases, python27

pytestmark = pytest.mark.real

PATIENCE = 600.0  # seconds for one run; a hang guard
GOLDEN = Golden.load()

# Of the base cases those that do not move megabytes, nor sleep for a second as others
# of their kind do; then a glimpse of size, and of each way to agree on compression.
SLEEPY = {"5.20", "6.4.2", "6.4.4"}
GLIMPSE = ["9.1.1", "9.2.1", "9.3.9", "9.5.6", "12.1.1", "13.3.1", "13.7.1"]
QUICK = [
    case for case in GOLDEN.base if not case.startswith("9.") and case not in SLEEPY
] + GLIMPSE
SECURE = [case for case in QUICK if case.startswith(("1.", "2.", "3.", "7."))]


@pytest.fixture(scope="module", autouse=True)
def _suite() -> None:
    try:
        python27()
    except Missing as reason:
        missing(str(reason))


@pytest.mark.parametrize(
    "run",
    [
        Run(role, backend, tls, tuple(SECURE if tls else QUICK))
        for tls in (False, True)
        for role in ROLES
        for backend in ("asyncio", "trio")
    ],
    ids=str,
)
def test_each_case_is_judged_as_the_golden_file_has_it(
    run: Run, tmp_path: Path
) -> None:
    certificates = Certificates.issue(tmp_path)
    judged = judge(run, tmp_path / "run", certificates, patience=PATIENCE)
    assert GOLDEN.differences(run.cases, judged) == []


def test_the_golden_file_leaves_out_no_case_that_we_mean_to_run() -> None:
    assert GOLDEN.cases == chosen(all_cases())
    assert set(QUICK) <= {*GOLDEN.cases}
    assert sum(map(is_base, GOLDEN.cases)) == len(GOLDEN.base)
