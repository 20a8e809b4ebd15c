"""One run: wsclient in one role, on one backend, against some cases of the suite."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..peers.certificates import Certificates
from ..peers.processes import Peer, free_ports
from .golden import Judged, Verdict
from .suite import wstest

ROLES = ("client", "server")

# Families of cases that take long: seconds of all of one, measured, to begin with them.
SLOW = {"12.2": 110, "12.1": 45, "13": 25, "12": 10, "9": 8}


@dataclass(frozen=True, slots=True)
class Run:
    """What is run; it can be split into parts that run side by side."""

    role: str
    backend: str
    tls: bool
    cases: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.role}-{self.backend}{'-tls' if self.tls else ''}"

    def parts(self) -> Iterator[Run]:
        """Give the slow families each as a run of its own, and the rest."""
        families = defaultdict(list)
        for case in self.cases:
            families[_family(case)].append(case)
        for cases in families.values():
            yield replace(self, cases=tuple(cases))

    @property
    def weight(self) -> int:
        """Roughly how many seconds it takes."""
        return sum({SLOW.get(_family(case), 6) for case in self.cases})


def _family(case: str) -> str:
    for family in SLOW:
        if case.startswith(f"{family}."):
            return family
    return "quick"


def judge(
    run: Run, folder: Path, certificates: Certificates, *, patience: float
) -> Judged:
    """
    Run it, and read the suite's report; the folder keeps that and the logs.

    Raises:
        TimeoutError: it has taken longer than ``patience`` seconds: something hangs.
        RuntimeError: a process ended before its time; the text has its log.

    """
    folder.mkdir(parents=True)
    play = _test_client if run.role == "client" else _test_server
    play(run, folder, certificates if run.tls else None, patience)
    report = folder / "report"
    index = json.loads((report / "index.json").read_text(encoding="utf-8"))
    verdicts, words = {}, {}
    for case, entry in index[str(run)].items():
        verdicts[case] = Verdict(entry["behavior"], entry["behaviorClose"])
        detail = json.loads((report / entry["reportfile"]).read_text(encoding="utf-8"))
        words[case] = f"{detail['result']} {detail['resultClose']}"
    return Judged(verdicts, words)


def _test_client(
    run: Run, folder: Path, certificates: Certificates | None, patience: float
) -> None:
    [port] = free_ports(1)
    url = f"{'wss' if certificates else 'ws'}://localhost:{port}"
    spec: dict[str, object] = {"url": url, "cases": list(run.cases)}
    options = ["--url", url, "--agent", str(run), "--cases", ",".join(run.cases)]
    if certificates:
        spec |= {"cert": str(certificates.chain), "key": str(certificates.key)}
        options += ["--authority", str(certificates.authority)]
    with ExitStack() as stack:
        suite = stack.enter_context(_killed(wstest("fuzzingserver", spec, folder)))
        suite.wait_listening(port)
        client = stack.enter_context(_testee(run, folder, options))
        _wait(client, patience)


def _test_server(
    run: Run, folder: Path, certificates: Certificates | None, patience: float
) -> None:
    scheme, options = "ws", []
    if certificates:
        pems = str(certificates.chain), str(certificates.key)
        scheme, options = "wss", ["--chain", pems[0], "--key", pems[1]]
    with ExitStack() as stack:
        server = stack.enter_context(_testee(run, folder, options))
        url = f"{scheme}://127.0.0.1:{int(server.read_line())}"
        spec: dict[str, object] = {
            "servers": [{"agent": str(run), "url": url}],
            "cases": list(run.cases),
        }
        suite = stack.enter_context(_killed(wstest("fuzzingclient", spec, folder)))
        _wait(suite, patience)
        if server.process.poll() is not None:
            raise server.failure("ended while it was tested")


def _testee(
    run: Run, folder: Path, options: Iterable[str]
) -> AbstractContextManager[Peer]:
    module = [sys.executable, "-m", "tests.conformance.testee"]
    command = [*module, run.role, run.backend, *options]
    return _killed(Peer(command, folder / "testee.log"))


@contextmanager
def _killed(peer: Peer) -> Iterator[Peer]:
    try:
        yield peer
    finally:
        peer.kill()


def _wait(peer: Peer, patience: float) -> None:
    """Return when it has ended well."""
    try:
        status = peer.process.wait(patience)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"{peer.failure('did not end')}") from None
    if status:
        raise peer.failure(f"ended with status {status}")
