"""``python -m wsclient.testing.fleet`` tells figures and draws pictures."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from wsclient.testing.fleet import __main__ as command
from wsclient.testing.fleet import sheets

Capture = pytest.CaptureFixture[str]


def test_it_tells_a_row_for_each_strategy(capsys: Capture) -> None:
    command.main(["--clients", "20", "--scenario", "restart"])
    title, head, *rows = capsys.readouterr().out.splitlines()[1:]
    assert title == "restart, 20 clients"
    assert [row.split("  ")[0] for row in rows][:2] == ["wsclient", "fixed 5 s"]
    assert len(rows) == 8
    assert all(len(row) == len(head) for row in rows)
    assert gc.isenabled()


def test_who_never_comes_back_is_told_so(capsys: Capture) -> None:
    command.main(
        ["--clients", "300", "--scenario", "restart", "--strategy", "websockets"]
    )
    row = capsys.readouterr().out.splitlines()[-1]
    assert "never" in row


def test_it_draws_where_it_is_told(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "SWEPT", 20)
    target = tmp_path / "some" / "plots"
    command.main(["--plot", str(target), "--sheet", "floors"])
    assert [path.name for path in target.iterdir()] == ["floors.svg"]
    assert (target / "floors.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "floors.svg" in capsys.readouterr().out


def test_it_refuses_a_fleet_of_nobody(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        command.main(["--clients", "0"])
    assert "at least 1" in capsys.readouterr().err
