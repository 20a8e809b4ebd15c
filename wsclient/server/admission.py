"""Who may come in: how many at once, of all, of one address, and before they ask."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from ipaddress import IPv4Address, ip_address

from ..errors import ArgumentError

__all__ = ("Admission", "Guest", "Refusal", "Tally", "neighbourhood")


class Refusal(Enum):
    """Why there is no place for a connection, as an HTTP status."""

    FULL = 503
    CROWDED = 429

    @property
    def bound(self) -> str:
        """The name of the bound that was reached."""
        return _BOUNDS[self]


_BOUNDS = {
    Refusal.FULL: "max_connections",
    Refusal.CROWDED: "max_connections_per_address",
}


def neighbourhood(address: tuple[str, int] | str) -> str | None:
    """
    Return what counts as one address; None: the peer has none (a Unix socket).

    Of an IPv6 address the first 64 bits: who has one has all that begin so.

    """
    if isinstance(address, str):
        return None
    ip = ip_address(address[0])
    if isinstance(ip, IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return ip.packed[:8].hex()


class Tally:
    """How many there are, of all and of each address."""

    __slots__ = ("of", "total")

    def __init__(self) -> None:
        self.total = 0
        self.of: Counter[str | None] = Counter()

    def add(self, address: str | None) -> None:
        self.total += 1
        self.of[address] += 1

    def remove(self, address: str | None) -> None:
        self.total -= 1
        self.of[address] -= 1
        if not self.of[address]:
            del self.of[address]


class Admission:
    """
    Counts guests from their arrival until they leave, and says who may come in.

    :attr:`handshakes` and :attr:`connections` say how many there are.

    While :attr:`full`, nobody further is to be let in to a handshake. Before that an
    address may hold as many handshakes as are still free, so half of all at most: how
    ever many come from one, there is room for the first of another.

    Args:
        max_connections: WebSockets open at once; None: any number.
        max_connections_per_address: those of one address, see :func:`neighbourhood`.
        max_handshakes: guests that have no answer yet.

    Raises:
        ArgumentError: a bound is no integer, or below 1.

    """

    def __init__(
        self,
        *,
        max_connections: int | None = None,
        max_connections_per_address: int | None = None,
        max_handshakes: int | None = None,
    ) -> None:
        self._most = _checked("max_connections", max_connections)
        self._most_of_one = _checked(
            "max_connections_per_address", max_connections_per_address
        )
        self._most_handshakes = _checked("max_handshakes", max_handshakes)
        self.handshakes = Tally()
        self.connections = Tally()

    def __repr__(self) -> str:
        return (
            f"<Admission: {self.handshakes.total} handshakes,"
            f" {self.connections.total} connections>"
        )

    @property
    def full(self) -> bool:
        """Whether there is no room for another handshake."""
        most = self._most_handshakes
        return most is not None and self.handshakes.total >= most

    def arrive(self, address: tuple[str, int] | str) -> Guest | None:
        """Let somebody in to his handshake; None: his address holds its share."""
        one = neighbourhood(address)
        if one is not None and self._most_handshakes is not None:
            # Two listeners that saw the last free place may each have let one in.
            free = max(1, self._most_handshakes - self.handshakes.total)
            if self.handshakes.of[one] >= free:
                return None
        return Guest(one, self)

    def refusal(self, one: str | None) -> Refusal | None:
        """Return why a neighbour of these gets no connection now; None: he does."""
        if self._most is not None and self.connections.total >= self._most:
            return Refusal.FULL
        if (
            one is not None
            and self._most_of_one is not None
            and self.connections.of[one] >= self._most_of_one
        ):
            return Refusal.CROWDED
        return None


class Guest:
    """One client and the places it holds: its handshake's, then its connection's."""

    __slots__ = ("_admission", "_held", "_one")

    def __init__(self, one: str | None, admission: Admission) -> None:
        self._one = one
        self._admission = admission
        self._held: list[Tally] = []
        self._take(admission.handshakes)

    def admit(self) -> Refusal | None:
        """Take a connection's place, or say why there is none."""
        refusal = self._admission.refusal(self._one)
        if refusal is None:
            self._take(self._admission.connections)
        return refusal

    def dismiss(self) -> None:
        """There will be no connection: give its place back. Idempotent."""
        self._give(self._admission.connections)

    def settle(self) -> None:
        """The handshake is over: give its place back. Idempotent."""
        self._give(self._admission.handshakes)

    def leave(self) -> None:
        """Give back whatever place is left. Idempotent."""
        self.settle()
        self.dismiss()

    def _take(self, tally: Tally) -> None:
        tally.add(self._one)
        self._held.append(tally)

    def _give(self, tally: Tally) -> None:
        if tally in self._held:
            self._held.remove(tally)
            tally.remove(self._one)


def _checked(name: str, bound: int | None) -> int | None:
    if bound is not None and (
        isinstance(bound, bool) or not isinstance(bound, int) or bound < 1
    ):
        raise ArgumentError(
            f"{name} is {bound!r}; give an integer of at least 1, or None for no bound"
        )
    return bound
