"""What may be said on the command line, and what it means."""

from __future__ import annotations

import argparse
import math
import ssl
from pathlib import Path

import pytest

from wsclient.cli import main
from wsclient.cli.options import Settings, add_options, settings_of

from ..docs.pages import table_of

URL = "ws://localhost/"


def said(*words: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return settings_of(parser.parse_args([URL, *words]))


def test_with_nothing_said_the_defaults_are_those_of_the_library() -> None:
    assert said() == Settings(url=URL)
    assert said().arguments() == {
        "headers": (),
        "subprotocols": (),
        "origin": None,
        "tls": None,
        "compression": "deflate",
        "max_message_size": 2**20,
        "ping_interval": 20.0,
    }


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-H", "X-A: 1"], "headers", (("X-A", "1"),)),
        (["--header", "X:y: z", "-HA:"], "headers", (("X", "y: z"), ("A", ""))),
        (["-s", "mqtt", "--subprotocol", "wamp"], "subprotocols", ("mqtt", "wamp")),
        (["-o", "https://example.com"], "origin", "https://example.com"),
        (["--no-compression"], "compression", None),
        (["--max-message-size", "7"], "max_message_size", 7),
        (["--max-message-size", "0"], "max_message_size", None),
        (["--ping-interval", "0.5"], "ping_interval", 0.5),
        (["--ping-interval", "0"], "ping_interval", None),
    ],
)
def test_what_is_said_becomes_an_argument_of_connect(
    words: list[str], name: str, value: object
) -> None:
    assert said(*words).arguments()[name] == value


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-r"], "reconnect", True),
        (["-b"], "binary", True),
        (["--slash"], "slash", True),
        (["-w", "2.5"], "wait", 2.5),
        (["-w", "inf"], "wait", math.inf),
        (["-v"], "verbose", True),
        (["--backend", "trio"], "backend", "trio"),
    ],
)
def test_what_is_said_about_the_conversation(
    words: list[str], name: str, value: object
) -> None:
    assert getattr(said(*words), name) == value


def test_every_option_is_on_its_page() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    there = [
        ", ".join(f"`{each}`" for each in a.option_strings) for a in parser._actions
    ]
    rows = table_of("docs/command-line.md", "connect")
    assert [row[0] for row in rows] == [each for each in there if each]


def test_certificates_are_checked_unless_that_is_waived() -> None:
    context = said("--insecure").arguments()["tls"]
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname


def test_a_file_of_authorities_stands_for_all_others(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    with pytest.raises(FileNotFoundError):
        said("--cafile", str(path)).arguments()
    path.write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        said("--cafile", str(path)).arguments()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "the following arguments are required: URL"),
        ([URL, "-H", "no-colon"], "'no-colon': write it as 'Name: value'"),
        ([URL, "-H", ": value"], "': value': write it as 'Name: value'"),
        ([URL, "-w", "-1"], "'-1': give seconds, 0 or more"),
        ([URL, "-w", "nan"], "'nan': give seconds, 0 or more"),
        ([URL, "--ping-interval", "soon"], "'soon': give seconds, 0 or more"),
        ([URL, "--max-message-size", "1k"], "invalid int value: '1k'"),
        ([URL, "--cafile", "x", "--insecure"], "not allowed with argument --cafile"),
        ([URL, "--slash", "-r"], "--slash: not allowed with argument --reconnect"),
        ([URL, "--backend", "curio"], "invalid choice: 'curio'"),
        ([URL, "another"], "unrecognized arguments: another"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_do(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["connect", *words])
    assert left.value.code == 2
    assert says in capsys.readouterr().err
