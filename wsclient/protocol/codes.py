"""Close codes: every number, what it means and whether it may stand on the wire."""

from __future__ import annotations

from enum import IntEnum

__all__ = ("CloseCode",)


class CloseCode(IntEnum):
    """
    A close code (RFC 6455, section 7.4, and the IANA registry).

    It is total: ``CloseCode(n)`` is an object for every n of 0 to 65535, with or
    without a name of its own.

    """

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_PAYLOAD_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015
    UNAUTHORIZED = 3000
    FORBIDDEN = 3003
    TIMEOUT = 3008

    @classmethod
    def _missing_(cls, value: object) -> CloseCode | None:
        if not isinstance(value, int) or not 0 <= value <= 0xFFFF:
            return None
        code = int.__new__(cls, value)
        code._name_ = f"CODE_{value}"
        code._value_ = int(value)
        return code

    @property
    def is_valid_on_wire(self) -> bool:
        """
        Whether a Close frame may carry it (RFC 6455, section 7.4.2).

        1004 to 1006 and 1015 are reserved, 1016 to 2999 not yet defined.

        """
        return 1000 <= self <= 1003 or 1007 <= self <= 1014 or 3000 <= self <= 4999

    @property
    def is_library(self) -> bool:
        """Whether libraries and frameworks register it: 3000 to 3999."""
        return 3000 <= self <= 3999

    @property
    def is_private(self) -> bool:
        """Whether it means what the application says: 4000 to 4999."""
        return 4000 <= self <= 4999

    @property
    def is_reserved(self) -> bool:
        """Whether RFC 6455 keeps it for itself, its extensions or local use."""
        return 1000 <= self <= 2999 and not self.is_valid_on_wire

    @property
    def meaning(self) -> str:
        """A few words for people."""
        if self in _MEANINGS:
            return _MEANINGS[self]
        if self.is_library:
            return "registered by a library"
        if self.is_private:
            return "private to the application"
        return "reserved" if self.is_reserved else "unused"


_MEANINGS: dict[int, str] = {
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no status received",
    1006: "no Close frame received",
    1007: "invalid payload data",
    1008: "policy violation",
    1009: "message too big",
    1010: "mandatory extension missing",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
    1015: "TLS handshake failed",
    3000: "unauthorized",
    3003: "forbidden",
    3008: "timeout",
}
