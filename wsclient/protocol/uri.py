"""WebSocket URIs: where to dial and what to ask for (RFC 6455, section 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import quote, unquote, urlsplit

from ..errors import InvalidURI
from .headers import basic_authorization

__all__ = ("URI", "parse_uri")

# What RFC 3986 allows in a path and a query, and what is already encoded.
_SAFE = "/?:@!$&'()*+,;=-._~%[]"
_BLANK = re.compile(r"[\x00-\x20\x7f]")
# An address in brackets, alone: urlsplit() takes anything around them.
_BRACKETS = re.compile(r"\[[^][]*\](?::[0-9]*)?")
_ZONE = re.compile(r"[a-zA-Z0-9._~-]+")
_HOST = re.compile(r"[a-z0-9_~-]{1,63}(?:\.[a-z0-9_~-]{1,63})*\.?")


@dataclass(frozen=True, slots=True, kw_only=True)
class URI:
    """
    A WebSocket URI taken apart.

    ``host`` is what to resolve, in ASCII, IPv6 without brackets; ``target`` the path
    and the query as they stand in the request.

    """

    secure: bool
    host: str
    port: int
    target: str
    userinfo: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def authority(self) -> str:
        """The value of ``Host``: the port only if it is not the default."""
        host = self.host
        if ":" in host:
            host = f"[{host.partition('%')[0]}]"  # a zone means something here only
        return (
            host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"
        )

    @property
    def authorization(self) -> str | None:
        """The value of ``Authorization``, if the URI has a user."""
        return basic_authorization(*self.userinfo) if self.userinfo else None

    def __str__(self) -> str:
        """The URI without user and password."""
        return f"{'wss' if self.secure else 'ws'}://{self.authority}{self.target}"


def parse_uri(url: str) -> URI:
    """
    Take a ``ws://`` or ``wss://`` URL apart.

    Host names that are not ASCII are encoded for the DNS (IDNA), other characters that
    are not ASCII in percent encoding.

    Raises:
        InvalidURI: it is none; the text says what to change. It shows no password.

    """
    if not isinstance(url, str):
        raise InvalidURI(f"a URL is a str, not {type(url).__name__}")
    try:
        url.encode()
    except UnicodeEncodeError:
        raise InvalidURI("the URL has lone surrogates in it: encode it first") from None
    if _BLANK.search(url):
        raise InvalidURI(
            "the URL has a space or control character in it: strip it, or write %20"
        )
    if "#" in url:
        raise InvalidURI(
            "a WebSocket URL has no fragment: remove '#...', or write '#' as %23"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        # The text of the error is not shown: it may have the password in it.
        raise InvalidURI(
            "the URL has a bad host or port: write ws://host:port/path, the port 1 to "
            "65535, an IPv6 address in [], and :/?@ in a password in percent encoding"
        ) from None
    if parts.scheme not in ("ws", "wss"):
        raise InvalidURI(_scheme_remedy(parts.scheme))
    if not host:
        raise InvalidURI("the URL has no host: write ws://host/path")
    if port == 0:
        raise InvalidURI("the URL has port 0: nobody can be reached there")
    secure = parts.scheme == "wss"
    address = parts.netloc.rpartition("@")[2]
    path, query = parts.path or "/", f"?{parts.query}" if parts.query else ""
    return URI(
        secure=secure,
        host=_address(host) if _BRACKETS.fullmatch(address) else _ascii_host(host),
        port=(443 if secure else 80) if port is None else port,
        target=quote(path + query, safe=_SAFE),
        userinfo=_userinfo(parts.username, parts.password),
    )


def _scheme_remedy(scheme: str) -> str:
    if scheme in ("http", "https"):
        return f"the URL begins with {scheme}://: write ws{scheme[4:]}:// instead"
    return "the URL must begin with ws:// or wss://"


def _address(host: str) -> str:
    host = host.replace("%25", "%")  # before a zone (RFC 6874)
    number, percent, zone = host.partition("%")
    try:
        IPv6Address(number)
    except ValueError:
        raise InvalidURI(f"{host!r} is no IPv6 address") from None
    if percent and not _ZONE.fullmatch(zone):
        raise InvalidURI(f"{zone!r} is no zone of an IPv6 address: write %25eth0")
    return host


def _ascii_host(host: str) -> str:
    try:
        name = host if host.isascii() else host.encode("idna").decode().lower()
    except UnicodeError:
        raise InvalidURI(
            f"the host {host!r} has no form for the DNS: write it in ASCII (xn--...)"
        ) from None
    if not _HOST.fullmatch(name) or len(name) > 253:
        raise InvalidURI(
            f"{host!r} is no host name: use letters, digits, hyphens and dots, or "
            "nothing but an IPv6 address in []"
        )
    return name


def _userinfo(user: str | None, password: str | None) -> tuple[str, str] | None:
    if user is None:
        return None
    user, password = unquote(user), unquote(password or "")
    if ":" in user:
        # RFC 7617, section 2: it would end there.
        raise InvalidURI("the user in the URL has a colon: Basic credentials cannot")
    return user, password
