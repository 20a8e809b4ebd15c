"""The command line itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

import wsclient
from wsclient.cli import main


def test_help_names_the_commands_and_their_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    output = capsys.readouterr().out
    assert "connect" in output
    assert "demo" in output
    with pytest.raises(SystemExit) as left:
        main(["demo", "--help"])
    assert left.value.code == 0
    output = capsys.readouterr().out
    for option in "--duration", "--seed", "--backend", "--plain":
        assert option in output
    with pytest.raises(SystemExit) as left:
        main(["connect", "--help"])
    assert left.value.code == 0
    output = capsys.readouterr().out
    for option in "URL", "--header", "--wait", "--reconnect", "exit status":
        assert option in output


def test_version_is_that_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"wsclient {wsclient.__version__}\n"


def test_without_a_command_it_says_what_there_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    assert "demo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dmeo"], "invalid choice: 'dmeo'"),
        (["demo", "--duration", "-1"], "'-1': give seconds, more than 0"),
        (["demo", "--duration", "0"], "'0': give seconds, more than 0"),
        (["demo", "--duration", "nan"], "'nan': give seconds, more than 0"),
        (["demo", "--duration", "inf"], "'inf': give seconds, more than 0"),
        (["demo", "--duration", "long"], "'long': give seconds, more than 0"),
        (["demo", "--seed", "x"], "invalid int value: 'x'"),
        (["demo", "--backend", "curio"], "invalid choice: 'curio'"),
        (["demo", "--loud"], "unrecognized arguments: --loud"),
    ],
    ids=" ".join,
)
def test_a_wrong_argument_is_named(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "wsclient.cli", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"wsclient {wsclient.__version__}\n"


def test_rich_is_loaded_only_for_the_live_view() -> None:
    code = "import sys, wsclient.cli; print('rich' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
