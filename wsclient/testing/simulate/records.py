"""What left a client, torn frames too, read from what the network took of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ...protocol.codec import mask
from ...protocol.frames import TEXT, maybe_read_header
from ..link import Link

__all__ = ("Left", "left")

_number = re.compile(rb'\{"op": ?"say", ?"id": ?(\d+)[,}]')


@dataclass(frozen=True, slots=True)
class Left:
    """
    A message of the user that left, on one link.

    Attributes:
        number: which one.
        link: where.
        whole: whether all of it did.

    """

    number: int
    link: Link
    whole: bool


def left(link: Link) -> Iterator[Left]:
    """
    Read the user's messages in the record of a link: ``{"op":"say","id":7,...}``.

    One that was torn is known as soon as its number has left.

    """
    sent = bytes(link.up.sent)
    position = sent.find(b"\r\n\r\n") + 4
    while 4 <= position < len(sent):
        header = maybe_read_header(sent, position, masked=True, compression=False)
        if header is None:
            return
        position = header.start + header.length
        payload = mask(sent[header.start : position], header.key)
        if header.opcode == TEXT and (said := _number.match(payload)):
            yield Left(int(said[1]), link, position <= len(sent))
