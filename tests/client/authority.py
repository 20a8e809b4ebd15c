"""A certificate authority of our own, and who trusts it."""

from __future__ import annotations

import ssl
from functools import cache

import pytest
import trustme

__all__ = ("Authority", "authority", "issued")


class Authority:
    """Contexts of a server and of clients that trust it or do not."""

    def __init__(self) -> None:
        made = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.issue_cert("localhost", "server.test").configure_cert(self.server)
        self.client = ssl.create_default_context()
        made.configure_trust(self.client)
        self.stranger = ssl.create_default_context()


@cache
def issued() -> Authority:
    """The one of this run: keys take their time."""
    return Authority()


@pytest.fixture
def authority() -> Authority:
    return issued()
