"""What users' tests get from pytest's plugin, run as their pytest runs it."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

INI = """
[pytest]
anyio_mode = auto
addopts = -p no:cacheprovider -p no:xdist --strict-markers -W error
"""


@pytest.fixture
def users(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project of somebody else's."""
    pytester.makeini(INI)
    return pytester


def run(users: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    users.makepyfile(source)
    return users.runpytest_inprocess(*options)


def test_a_test_with_the_clock_runs_in_virtual_time_on_every_backend(
    users: pytest.Pytester,
) -> None:
    result = run(
        users,
        """
        import anyio

        async def test_a_day(virtual_clock):
            start = virtual_clock.now
            await anyio.sleep(86_400)
            assert virtual_clock.now - start == 86_400
            virtual_clock.suspend(3600)
            assert virtual_clock.now - start == 90_000
        """,
        "-v",
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_a_day?asyncio?*", "*test_a_day?trio?*"])


def test_tests_without_it_keep_the_real_clock(users: pytest.Pytester) -> None:
    result = run(
        users,
        """
        import time
        import anyio

        async def test_virtual(virtual_clock):
            await anyio.sleep(86_400)

        async def test_real():
            start = time.monotonic()
            await anyio.sleep(0.001)
            assert time.monotonic() > start
        """,
    )
    result.assert_outcomes(passed=4)


def test_each_test_has_a_clock_of_its_own(users: pytest.Pytester) -> None:
    result = run(
        users,
        """
        import anyio
        import pytest

        @pytest.mark.parametrize("turn", [1, 2])
        async def test_begins_anew(virtual_clock, turn):
            assert virtual_clock.now < 100
            await anyio.sleep(1000)
        """,
    )
    result.assert_outcomes(passed=4)


def test_who_names_a_backend_gets_that_one_in_virtual_time(
    users: pytest.Pytester,
) -> None:
    result = run(
        users,
        """
        import anyio
        import pytest

        @pytest.mark.parametrize("anyio_backend", ["trio"])
        async def test_one(virtual_clock):
            await anyio.sleep(86_400)
        """,
    )
    result.assert_outcomes(passed=1)


def test_a_backend_that_a_fixture_names_is_told_how_to_be_virtual(
    users: pytest.Pytester,
) -> None:
    users.makeconftest(
        """
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
        """
    )
    result = run(users, "async def test_one(virtual_clock): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*virtual_backend('asyncio')*"])


def test_a_virtual_backend_that_a_fixture_gives_is_taken(
    users: pytest.Pytester,
) -> None:
    users.makeconftest(
        """
        import pytest
        from wsclient.testing import virtual_backend

        @pytest.fixture
        def anyio_backend():
            return virtual_backend("trio")
        """
    )
    source = """
        import anyio

        async def test_one(virtual_clock):
            await anyio.sleep(86_400)
        """
    run(users, source).assert_outcomes(passed=1)


def test_the_network_is_made_as_the_marker_says(users: pytest.Pytester) -> None:
    result = run(
        users,
        """
        import pytest

        @pytest.mark.ws_network(seed=7, latency=(0.5, 0.5))
        async def test_slow(ws_network, ws_server, virtual_clock):
            start = virtual_clock.now
            wire = await ws_network.dial(
                "server.test", 80, tls=None, reached=lambda phase: None
            )
            wire.abort()
            assert virtual_clock.now - start == 1.0
        """,
    )
    result.assert_outcomes(passed=2)


SERVER = """
    import pytest
    import wsclient
    from wsclient.testing import rejects

    async def greets(peer):
        await peer.accept()
        peer.send("hello")

    async def fails(peer):
        await peer.accept()
        raise ValueError("as its writer did not want it")

    @pytest.mark.ws_server(scripts=[rejects(503)], default=greets)
    async def test_script(ws_server, ws_network):
        url = ws_server.url()
        async with wsclient.Client(url, dial=ws_network.dial) as client:
            assert await client.recv() == "hello"
            ws_server.drop()
            assert await client.recv() == "hello"
            assert len(ws_server.peers) == 3

    @pytest.mark.ws_server(default=greets)
    async def test_loopback(ws_loopback):
        async with wsclient.connect(ws_loopback.url()) as ws:
            assert await ws.recv() == "hello"
"""


def test_the_server_does_what_the_marker_says(users: pytest.Pytester) -> None:
    run(users, SERVER).assert_outcomes(passed=4)


def test_what_a_script_raises_fails_the_test(users: pytest.Pytester) -> None:
    source = (
        SERVER
        + """
    @pytest.mark.ws_server(default=fails)
    async def test_wrong(ws_server, ws_network):
        async with wsclient.connect(ws_server.url(), dial=ws_network.dial) as ws:
            with pytest.raises(wsclient.ConnectionLost):
                await ws.recv()
    """
    )
    result = run(users, source, "-k", "wrong")
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["*as its writer did not want it*"])
