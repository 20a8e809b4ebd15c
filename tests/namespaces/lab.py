"""
Three hosts of the kernel's own: a client, a middlebox that routes, and a server.

::

    client 10.77.1.2 ---- 10.77.1.1 middlebox 10.77.2.1 ---- 10.77.2.2 server
    fd77:1::2                                                        fd77:2::2

Each is a network namespace (network_namespaces(7)), so the sockets, packets, routes and
errors are real, and nothing of them leaves these three.

"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from wsclient.transport.listen import SocketListener

from ..peers.processes import missing

__all__ = ("CLIENT", "PORT", "SERVER", "SERVER_6", "Lab", "Namespace", "Way", "lab")

Way = Literal["up", "down", "both"]
"""Up is from the client to the server."""

CLIENT, SERVER, SERVER_6 = "10.77.1.2", "10.77.2.2", "fd77:2::2"
PORT = 8080

_CLONE_NEWNET = 0x40000000  # setns(2)
_TOOLS = {"ip": "iproute2", "nft": "nftables", "conntrack": "conntrack"}
_RESOLVERS = Path("/etc/netns")  # ip-netns(8)

_BEYOND = {"up": 'iifname "client"', "down": 'iifname "server"', "both": ""}


def _run(*command: str, told: str = "") -> str:
    try:
        return subprocess.run(
            command, input=told, text=True, check=True, capture_output=True, timeout=20
        ).stdout
    except subprocess.CalledProcessError as error:
        error.add_note(error.stderr)
        raise


class Namespace:
    """One host, named as ``ip netns`` knows it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ip(self, *commands: str) -> None:
        """Have ``ip`` do all of these here."""
        _run("ip", "-n", self.name, "-batch", "-", told="\n".join(commands))

    def run(self, *command: str, told: str = "") -> str:
        """Run a command here; return what it said."""
        return _run(*self.within(*command), told=told)

    def within(self, *command: str) -> Sequence[str]:
        """Return the command that runs this one here."""
        return ("ip", "netns", "exec", self.name, *command)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let sockets and threads that this thread makes be of this host."""
        libc = ctypes.CDLL(None, use_errno=True)  # os.setns() is of Python 3.12
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        here = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            if libc.setns(here, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                if libc.setns(home, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(here)
            os.close(home)

    def set(self, name: str, value: int) -> None:
        """Set what sysctl(8) calls ``net.`` and this name."""
        with self.inside():
            Path("/proc/sys/net", name).write_text(str(value), encoding="ascii")

    async def listen(self, host: str | None, port: int) -> list[SocketListener]:
        """Listen on an address of this host, for servers that run in any thread."""
        assert host is not None
        six = ipaddress.ip_address(host).version == 6
        family = socket.AF_INET6 if six else socket.AF_INET
        # Nothing is awaited inside: other tasks of the thread are of another host.
        with self.inside():
            listening = socket.create_server((host, port), family=family)
        listening.setblocking(False)
        return [SocketListener(listening)]


class Middlebox(Namespace):
    """The router between them, and all that routers do to connections."""

    def drop(self, way: Way = "both", *matching: str) -> None:
        """From now on let packets vanish: all, or what nft says they match."""
        self._rules(f"{_BEYOND[way]} {' '.join(matching)} counter drop")

    def reject(self, how: str, way: Way = "both") -> None:
        """Answer what comes with a reset or an ICMP message, as nft calls it."""
        self._rules(f"{_BEYOND[way]} counter reject with {how}")

    def heal(self) -> None:
        """Forward again."""
        self._rules()

    def stopped(self) -> int:
        """Return how many packets the present rules have stopped."""
        counted = self.run("nft", "list", "table", "inet", "middlebox")
        return sum(map(int, re.findall(r"counter packets (\d+)", counted)))

    def translate(self, *, forgets_after: int = 1000) -> None:
        """Be a NAT from now on, that forgets who was silent for so many seconds."""
        known = "netfilter/nf_conntrack_tcp"
        self._load("""
            table inet nat {
                chain out {
                    type nat hook postrouting priority 100
                    oifname "server" masquerade
                }
                chain strangers {
                    type filter hook forward priority -10
                    ct state invalid drop
                }
            }
        """)
        self.set(f"{known}_timeout_established", forgets_after)
        self.set(f"{known}_loose", 0)  # what it does not know is invalid, as elsewhere

    def forget(self) -> None:
        """Forget every connection, as a NAT that was restarted."""
        self.run("conntrack", "-F")

    def hide_icmp(self) -> None:
        """Never say that a packet was too large or led nowhere, as bad firewalls do."""
        self._load("""
            table inet silent {
                chain out {
                    type filter hook output priority 0
                    icmp type destination-unreachable drop
                }
            }
        """)

    def _rules(self, rule: str = "") -> None:
        self._load(f"""
            table inet middlebox
            delete table inet middlebox
            table inet middlebox {{
                chain forward {{
                    type filter hook forward priority 0
                    {rule}
                }}
            }}
        """)

    def _load(self, rules: str) -> None:
        self.run("nft", "-f", "-", told=rules)


class Lab:
    """The three of them, of this process alone."""

    def __init__(self) -> None:
        name = f"wsclient-{os.getpid()}"
        self.client = Namespace(f"{name}-client")
        self.middlebox = Middlebox(f"{name}-middlebox")
        self.server = Namespace(f"{name}-server")
        self._all = (self.client, self.middlebox, self.server)

    def up(self) -> None:
        """Make and join them."""
        client, middlebox, server = (host.name for host in self._all)
        made = f"""
            netns add {client}
            netns add {middlebox}
            netns add {server}
            link add net netns {client} type veth peer name client netns {middlebox}
            link add net netns {server} type veth peer name server netns {middlebox}
            """
        try:
            _run("ip", "-batch", "-", told=made)
        except subprocess.CalledProcessError as error:  # root, but not of this machine
            missing(f"there can be no network namespaces: {error.stderr}")
        self.middlebox.set("ipv4/ip_forward", 1)
        self.middlebox.set("ipv6/conf/all/forwarding", 1)
        # Who comes back is found again soon.
        self.middlebox.set("ipv4/neigh/server/retrans_time_ms", 50)
        for side, host, link in (
            (1, self.client, "client"),
            (2, self.server, "server"),
        ):
            self.middlebox.ip(
                f"addr add 10.77.{side}.1/24 dev {link}",
                f"addr add fd77:{side}::1/64 dev {link} nodad",
                f"link set {link} up",
            )
            host.ip(
                f"addr add 10.77.{side}.2/24 dev net",
                f"addr add fd77:{side}::2/64 dev net nodad",
                "link set lo up",
                "link set net up",
                f"route add default via 10.77.{side}.1",
                f"route add default via fd77:{side}::1",
            )

    def down(self) -> None:
        """Take them away with all that is theirs; idempotent."""
        there = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
        for host in self._all:
            if host.name in there:
                _run("ip", "netns", "del", host.name)
            shutil.rmtree(_RESOLVERS / host.name, ignore_errors=True)

    def move(self, address: str) -> None:
        """Give the client another address, as a phone that leaves its wireless LAN."""
        self.client.ip(
            f"addr del {CLIENT}/24 dev net",
            f"addr add {address}/24 dev net",
            "route add default via 10.77.1.1",  # the old one went with its address
        )

    def resolve_with(self, address: str) -> None:
        """Let programs that ``ip netns exec`` starts at the client ask this server."""
        folder = _RESOLVERS / self.client.name
        folder.mkdir(parents=True)
        text = f"nameserver {address}\noptions timeout:30 attempts:5\n"
        (folder / "resolv.conf").write_text(text, encoding="ascii")


def _possible() -> None:
    if sys.platform != "linux":
        pytest.skip("network namespaces are of Linux")
    if os.geteuid() != 0:
        pytest.skip("network namespaces are root's to make")
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            missing(f"there is no {tool}; the package {package} brings it")


@contextmanager
def lab() -> Iterator[Lab]:
    """Build the three hosts, and take them away whatever happens."""
    _possible()
    made = Lab()
    made.down()
    try:
        made.up()
        yield made
    finally:
        made.down()
