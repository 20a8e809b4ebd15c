"""Real reverse proxies: the same set of them in front of the same backend port."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .certificates import Certificates
from .commands import Command
from .processes import Peer, free_ports, missing

IDLE = 1  # seconds without a byte until a proxy cuts a link, or waits for an answer


@dataclass(frozen=True, slots=True)
class Setting:
    """What the configuration of a proxy is made of."""

    folder: Path
    certificates: Certificates
    plain: int
    secure: int
    backend: int
    checked: int  # what is asked for its health all the time


def _executable(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if not found:
        missing(f"there is no {name}; Debian's packages nginx-light and haproxy do")
    return found


def nginx(setting: Setting) -> Command:
    """Configure nginx as its manual says for WebSocket, but for ``/plain``."""
    folder, certificates = setting.folder, setting.certificates
    temporary = "".join(
        f"  {kind}_temp_path {folder / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"""{"user root;" if os.geteuid() == 0 else ""}
daemon off;
worker_processes 1;
worker_shutdown_timeout 100ms;
pid {folder / "nginx.pid"};
error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off;
{temporary}
  proxy_connect_timeout {IDLE}s;
  proxy_read_timeout {IDLE}s;
  proxy_send_timeout {IDLE}s;
  server {{
    listen 127.0.0.1:{setting.plain};
    listen 127.0.0.1:{setting.secure} ssl;
    ssl_certificate {certificates.chain};
    ssl_certificate_key {certificates.key};
    location / {{
      proxy_pass http://127.0.0.1:{setting.backend};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
    location /plain {{ proxy_pass http://127.0.0.1:{setting.backend}; }}
  }}
}}
""",
        encoding="utf-8",
    )
    configuration = folder / "nginx.conf"
    return [_executable("nginx"), "-e", "stderr", "-p", folder, "-c", configuration]


def haproxy(setting: Setting) -> Command:
    """Configure haproxy, with ``/checked`` for what is asked for its health."""
    folder, certificates = setting.folder, setting.certificates
    pem = folder / "combined.pem"
    parts = certificates.chain, certificates.key
    pem.write_text("".join(part.read_text("ascii") for part in parts), "ascii")
    (folder / "haproxy.cfg").write_text(
        f"""global
  maxconn 256
  hard-stop-after 100ms
defaults
  mode http
  retries 0
  option forwardfor
  timeout connect {IDLE}s
  timeout client {IDLE}s
  timeout server {IDLE}s
  timeout tunnel {IDLE}s
frontend front
  bind 127.0.0.1:{setting.plain}
  bind 127.0.0.1:{setting.secure} ssl crt {pem}
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
  use_backend checked if {{ path /checked }}
  default_backend back
backend back
  server one 127.0.0.1:{setting.backend}
backend checked
  option httpchk GET /health
  server one 127.0.0.1:{setting.checked} check inter 50ms rise 1 fall 1
""",
        encoding="utf-8",
    )
    # -W: a master, which can be told to load the configuration anew.
    return [_executable("haproxy"), "-W", "-f", folder / "haproxy.cfg"]


@dataclass(frozen=True, slots=True)
class Make:
    """A make of proxy: its configuration, what makes it load it anew, its words."""

    configure: Callable[[Setting], Command]
    reload: signal.Signals
    backend_down: int  # the HTTP status


MAKES = {
    "nginx": Make(nginx, signal.SIGHUP, backend_down=502),
    "haproxy": Make(haproxy, signal.SIGUSR2, backend_down=503),
}


class Proxy:
    """A proxy of one make, on ports of its own through any number of lives."""

    def __init__(self, name: str, folder: Path, certificates: Certificates) -> None:
        plain, secure, self.backend, self.checked = free_ports(4)
        self.make = MAKES[name]
        self._ports = {"ws": plain, "wss": secure}
        self._log = folder / f"{name}.log"
        self._command = self.make.configure(
            Setting(folder, certificates, plain, secure, self.backend, self.checked)
        )
        self._peer: Peer | None = None

    def url(self, path: str = "/", scheme: str = "ws") -> str:
        return f"{scheme}://localhost:{self._ports[scheme]}{path}"

    def start(self) -> None:
        """Start a life and return when it listens."""
        assert self._peer is None
        self._peer = Peer(self._command, self._log)
        self._peer.wait_listening(*self._ports.values())

    def reload(self) -> None:
        """Have it load its configuration anew, and soon cut what goes on by the old."""
        assert self._peer is not None
        self._peer.process.send_signal(self.make.reload)

    def kill(self) -> None:
        """``kill -9``; idempotent."""
        if self._peer is not None:
            self._peer.kill()
            self._peer = None


@contextmanager
def proxying(name: str, folder: Path, certificates: Certificates) -> Iterator[Proxy]:
    """Make a proxy, started; whatever becomes of it, nothing of it is left."""
    proxy = Proxy(name, folder, certificates)
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.kill()
