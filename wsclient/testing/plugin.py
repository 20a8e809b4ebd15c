"""What pytest gets: virtual time, a network and a server for tests of your own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

__all__ = ("VirtualClock", "virtual_clock", "ws_loopback", "ws_network", "ws_server")

# pytest loads this module in every run, so all else is imported where it is used.

_HOST = "server.test"
_MARKERS = (
    "ws_network(**options): how the ws_network fixture makes its Network",
    "ws_server(scripts=(), **options): how ws_server makes its ScriptedServer",
)


class VirtualClock:
    """The clock of a test that runs in virtual time."""

    @property
    def now(self) -> float:
        """Seconds on the event loop's clock."""
        import anyio

        return anyio.current_time()

    def suspend(self, seconds: float) -> None:
        """Let it jump, as when the machine sleeps: what was due comes late."""
        from .clock import suspend

        suspend(seconds)


@pytest.fixture
def virtual_clock(anyio_backend: Any) -> VirtualClock:
    """
    Run this test in virtual time: hours cost nothing, and every run is the same.

    The clock goes to the next deadline as soon as every task waits; real sockets and
    worker threads look idle to it. The test runs on every backend there is.

    """
    if isinstance(anyio_backend, str):
        pytest.fail(
            "virtual_clock: a fixture of yours says that anyio_backend is"
            f" {anyio_backend!r}; let it return wsclient.testing.virtual_backend"
            f"({anyio_backend!r})",
            pytrace=False,
        )
    return VirtualClock()


@pytest.fixture
def ws_network(request: pytest.FixtureRequest, virtual_clock: VirtualClock) -> Any:
    """
    Make a simulated network, in virtual time: ``Client(url, dial=ws_network.dial)``.

    ``@pytest.mark.ws_network(seed=7, latency=(0.1, 0.3))`` says how it is made.

    """
    from .network import Network

    return Network(**_marked(request, "ws_network"))


@pytest.fixture
async def ws_server(
    request: pytest.FixtureRequest, ws_network: Any
) -> AsyncIterator[Any]:
    """
    Run a scripted server in ``ws_network``, at ``ws_server.url()``.

    It accepts all and says nothing unless told otherwise:
    ``@pytest.mark.ws_server(scripts=[rejects(503)], default=accepts)``. What a script
    raises fails the test.

    """
    from .script import ScriptedServer

    options = _marked(request, "ws_server")
    scripts = options.pop("scripts", ())
    where = {"host": _HOST, "port": 80, "listen": ws_network.host(_HOST).listen}
    async with ScriptedServer(*scripts, **where, **options) as server:
        yield server


@pytest.fixture
async def ws_loopback(
    request: pytest.FixtureRequest, anyio_backend: Any
) -> AsyncIterator[Any]:
    """Run the same server as ``ws_server`` on a loopback socket, in real time."""
    from .script import ScriptedServer

    options = _marked(request, "ws_server")
    scripts = options.pop("scripts", ())
    async with ScriptedServer(*scripts, **options) as server:
        yield server


def _marked(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """What the nearest marker of that name says."""
    marker = request.node.get_closest_marker(name)
    return dict(marker.kwargs) if marker else {}


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Say the backends by name, anew for each test: a clock is not to be shared."""
    definition = metafunc.definition
    if "virtual_clock" not in metafunc.fixturenames or _parametrized(definition):
        return
    fixtures = definition._fixtureinfo.name2fixturedefs.get("anyio_backend", ())
    if all(found.func.__module__ == "anyio.pytest_plugin" for found in fixtures):
        names = list(_backends())
        definition.add_marker(pytest.mark.parametrize("anyio_backend", names))


def _parametrized(definition: pytest.Item) -> bool:
    return any(
        "anyio_backend" in str(marker.args[0])
        for marker in definition.iter_markers("parametrize")
        if marker.args
    )


def _backends() -> Iterator[str]:
    from importlib.util import find_spec

    from .clock import VIRTUAL_BACKENDS

    for name in VIRTUAL_BACKENDS:
        if find_spec(name) is not None:
            yield name


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> None:
    """Turn a backend's name into one with a virtual clock, for who asks for that."""
    if fixturedef.argname != "anyio_backend" or "virtual_clock" not in (
        request.fixturenames
    ):
        return
    name = getattr(request, "param", None)
    if isinstance(name, str):
        from .clock import virtual_backend

        request.param = virtual_backend(name)
