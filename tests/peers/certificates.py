"""A certificate authority of our own, as files for the peers and a context for us."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of the server's key and certificate chain, and of the authority."""

    authority: Path
    chain: Path
    key: Path

    @classmethod
    def issue(cls, folder: Path) -> Certificates:
        """Issue for ``localhost`` and 127.0.0.1."""
        made = cls(folder / "ca.pem", folder / "chain.pem", folder / "key.pem")
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(str(made.authority))
        issued.private_key_pem.write_to_path(str(made.key))
        for part in issued.cert_chain_pems:
            part.write_to_path(str(made.chain), append=True)
        return made

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context
