"""Calls that would wait for themselves, or come from a foreign thread, are refused."""

from __future__ import annotations

from threading import get_ident

from ..errors import ConcurrencyError, LocalProtocolError
from .conversation import inside_hook_of

__all__ = ("Guard",)


class Guard:
    """Checks the callers of one client."""

    __slots__ = ("_owner", "thread")

    def __init__(self, owner: object) -> None:
        self._owner = owner
        self.thread: int | None = None

    def enter(self) -> None:
        """The client belongs to this thread from now on."""
        self.thread = get_ident()

    def check_thread(self, what: str) -> None:
        """
        Refuse a foreign thread.

        Raises:
            ConcurrencyError: ``what`` was called from one.

        """
        if self.thread is not None and self.thread != get_ident():
            raise ConcurrencyError(
                f"{what}() was called from another thread; use anyio.from_thread.run()"
            )

    def check_entered(self, what: str) -> None:
        """
        Refuse what would wait for ever.

        Raises:
            LocalProtocolError: the client was not entered.
            ConcurrencyError: called from a foreign thread, or from a hook of this
                client, which would wait for itself.

        """
        if self.thread is None:
            raise LocalProtocolError(
                f"{what}() before the client was entered: use `async with`, or run()"
            )
        self.check_thread(what)
        if inside_hook_of(self._owner):
            raise ConcurrencyError(
                f"{what}() of the client inside on_connect or hello would wait for "
                "itself: use the argument they are given"
            )
