"""Who judges: the first promise broken counts, and ends the run."""

from __future__ import annotations

import anyio

from wsclient.testing.simulate import Judge, Violation


async def test_the_first_violation_is_kept_and_ends_the_run(
    virtual_clock: object,
) -> None:
    judge = Judge()
    judge.began = anyio.current_time()
    with anyio.CancelScope() as judge.scope:
        await anyio.sleep(3)
        judge("holds", True, "nothing")
        judge("breaks first", False, "here")
        judge("breaks second", False, "there")
        await anyio.sleep(1)
        raise AssertionError("it went on")
    assert isinstance(judge.violation, Violation)
    assert judge.violation.check == "breaks first"
    assert str(judge.violation) == "breaks first: here"
    assert judge.trace == ["    3.0000  ! breaks first: here"]


async def test_what_happens_is_written_down_with_its_time(
    virtual_clock: object,
) -> None:
    judge = Judge()
    judge.began = anyio.current_time()
    judge.told("one")
    await anyio.sleep(61.5)
    judge.told("two")
    assert judge.trace == ["    0.0000  one", "   61.5000  two"]
