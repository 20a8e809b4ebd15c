"""The fake link of these tests, held to the contract that the real one passes."""

from __future__ import annotations

import pytest

from wsclient.supervisor.seam import Attempt, Data

from ..link_contract import LINK_CHECKS, LinkCheck, LinkSide
from .network import FakeLink


class FakeSide(LinkSide):
    """A fake link, which is its own peer and network."""

    def __init__(self) -> None:
        attempt = Attempt(generation=1, number=1, last_outcome=None, deadline=0)
        self.link = self.fake = FakeLink(attempt)

    def deliver(self, *messages: Data) -> None:
        self.fake.deliver(*messages)

    def got(self) -> list[Data]:
        return self.fake.sent

    def told(self) -> int | None:
        return self.fake.close_sent.code if self.fake.close_sent else None

    def fill(self) -> None:
        self.fake.kernel = False
        self.fake.commit("x")
        self.fake.make_room(0)

    def drain(self) -> None:
        self.fake.kernel = True
        self.fake.flush_kernel()
        self.fake.make_room()

    def lose(self) -> None:
        self.fake.lose()

    def peer_closes(self, code: int) -> None:
        self.fake.peer_closes(code)

    def answers_no_more(self) -> None:
        self.fake.close_takes = 1000


@pytest.mark.parametrize("check", LINK_CHECKS, ids=lambda check: str(check.__name__))
async def test_the_fake_keeps_the_contract_of_links(check: LinkCheck) -> None:
    await check(FakeSide())
