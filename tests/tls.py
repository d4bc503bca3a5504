"""Certificates of a test's own, and TLS in front of a server that has none."""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOST: Final = "127.0.0.1"
LIFETIME: Final = datetime.timedelta(days=1)
CHUNK_BYTES: Final = 65_536


@dataclass(frozen=True)
class Authority:
    """Signs certificates for 127.0.0.1; `ca_file` is its own one (PEM)."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, folder: Path) -> Self:
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"authority {folder.name}")
        only_signs = x509.BasicConstraints(ca=True, path_length=0)
        certificate = _certificate(name, name, key, key, only_signs)
        (folder / "ca.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
        return cls(folder, certificate, key)

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.crt"

    def server_files(self) -> tuple[Path, Path]:
        """A certificate for 127.0.0.1 and its key, as files (PEM)."""
        key = ec.generate_private_key(ec.SECP256R1())
        host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
        certificate = _certificate(_name(HOST), self.certificate.subject, key, self.key, host)
        files = self.folder / "server.crt", self.folder / "server.key"
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFETIME)
        .not_valid_after(now + LIFETIME)
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .sign(signer, hashes.SHA256())
    )


@dataclass
class TlsRelay:
    """Takes TLS on 127.0.0.1 and speaks to the server without it, as a proxy beside it does."""

    target: tuple[str, int]
    port: int = 0
    _context: ssl.SSLContext = field(
        default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    )
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def show(self, authority: Authority) -> None:
        """From now on a certificate of this authority; connections of before are closed."""
        self._context.load_cert_chain(*authority.server_files())
        self._loop.call_soon_threadsafe(self._close_all)

    @contextmanager
    def running(self) -> Iterator[Self]:
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        listening = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = listening.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._end(listening), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._relay, HOST, 0, ssl=self._context)

    async def _end(self, listening: asyncio.Server) -> None:
        listening.close()
        self._close_all()
        relays = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*relays, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(*self.target)
        self._open |= {writer, to_server}
        await asyncio.gather(_pump(reader, to_server), _pump(from_server, writer))
        self._open -= {writer, to_server}

    def _close_all(self) -> None:
        for writer in self._open:
            writer.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK_BYTES):
            sink.write(data)
            await sink.drain()
    with contextlib.suppress(OSError, RuntimeError):
        sink.close()
