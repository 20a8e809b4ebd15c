"""Fixtures: each real peer once for the whole run; NATS once for each test."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from .certificates import Certificates
from .chromium import Chromium, browser, page
from .clients import LACKS, Process, Visitor, process
from .nats import Nats, nats_server
from .proxies import MAKES as PROXIES
from .proxies import Proxy, proxying
from .servers import MAKES, Server, running


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.issue(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def servers(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[Callable[[str], Server]]:
    """Give a server of each make, started when it is first asked for."""
    folder = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:

        @cache
        def server_of(make: str) -> Server:
            return stack.enter_context(running(make, folder, certificates))

        yield server_of


@pytest.fixture(params=MAKES)
def server(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Server:
    """Each of the third-party servers in turn."""
    return servers(request.param)


@pytest.fixture(scope="session")
def processes(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Process]]:
    """Give a client of each make that is a process."""
    folder = tmp_path_factory.mktemp("clients")
    with ExitStack() as stack:

        @cache
        def client_of(make: str) -> Process:
            return stack.enter_context(process(make, folder))

        yield client_of


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(params=LACKS)
async def visitor(request: pytest.FixtureRequest) -> AsyncIterator[Visitor]:
    """Each of the third-party clients in turn."""
    if request.param != "chromium":
        yield request.getfixturevalue("processes")(request.param)
        return
    async with page(request.getfixturevalue("chromium")) as opened:
        yield opened


@pytest.fixture(scope="session")
def proxies(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[Callable[[str], Proxy]]:
    """Give a proxy of each make, started when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def proxy_of(make: str) -> Proxy:
            folder = tmp_path_factory.mktemp(make)
            return stack.enter_context(proxying(make, folder, certificates))

        yield proxy_of


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest, proxies: Callable[[str], Proxy]) -> Proxy:
    """Each of the reverse proxies in turn."""
    return proxies(request.param)


@pytest.fixture(params=["ws", "wss"])
def scheme(request: pytest.FixtureRequest) -> str:
    """Plain, then over TLS."""
    return str(request.param)


@pytest.fixture
def tls(scheme: str, certificates: Certificates) -> ssl.SSLContext | None:
    return certificates.client_context() if scheme == "wss" else None


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    with nats_server(tmp_path) as broker:
        yield broker


@pytest.fixture
def nats_tls(tmp_path: Path, certificates: Certificates) -> Iterator[Nats]:
    with nats_server(tmp_path, certificates) as broker:
        yield broker
