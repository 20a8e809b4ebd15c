"""A flood of reasons to warn is told, and does not flood the log."""

from __future__ import annotations

import logging

import pytest

from wsclient.server.notices import PAUSE, Notices


def test_a_warning_is_said_once_a_minute_with_how_many_were_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notices = Notices(logging.getLogger("wsclient.server"))
    for now in range(200):
        notices.warn(1000.0 + now, "no place for %s", f"peer {now}")
    assert [record.getMessage() for record in caplog.records] == [
        "no place for peer 0",
        "no place for peer 60 (59 more since the last warning)",
        "no place for peer 120 (59 more since the last warning)",
        "no place for peer 180 (59 more since the last warning)",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_each_kind_of_warning_is_said_by_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notices = Notices(logging.getLogger("wsclient.server"))
    for now in (0, 1, PAUSE):
        notices.warn(now, "one")
        notices.warn(now, "other %d", now)
    assert caplog.messages == [
        "one",
        "other 0",
        "one (1 more since the last warning)",
        "other 60 (1 more since the last warning)",
    ]
