"""TLS: the transport accepts only valid certificates from a trusted authority for the requested name."""

import ipaddress
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clients import transport
from clients.transport import NoAnswerError
from tests.functional.scripted_server import LONG, always, http_response, scripted

SERVER_NAME = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
OTHER_NAME = x509.DNSName("shop.example")
KEY = ["Authorization: Klaviyo-API-Key secret"]


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates. Nobody trusts it until its own certificate is in the list of authorities."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def list_file(self) -> str:
        """Path of a list of authorities that contains only this one."""
        path = self.folder / "authorities.pem"
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return str(path)

    def server(self, name: x509.GeneralName, *, days: int = 1) -> ssl.SSLContext:
        """The server's TLS context, with a certificate for this name that expires in `days` days."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _certificate_builder("a server", "an authority", days)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        path = self.folder / "server.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _certificate_builder(subject: str, issuer: str, days: int) -> x509.CertificateBuilder:
    end = datetime.now(UTC) + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=30))
        .not_valid_after(end)
    )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority created for the test."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _certificate_builder("an authority", "an authority", 1)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(tmp_path, key, certificate)


@pytest.fixture(autouse=True)
def _uncached_authorities() -> Iterator[None]:
    transport._authorities.cache_clear()
    yield
    transport._authorities.cache_clear()


def assert_refused(tls: ssl.SSLContext) -> None:
    """Assert that the certificate is refused and nothing is sent."""
    with scripted(always(http_response(b"ok")), tls=tls) as backend:
        with pytest.raises(NoAnswerError) as caught:
            backend.exchange("POST", "/secret", KEY, b"secret")
        assert caught.value.code == "PEER_FAILED_VERIFICATION"
        backend.server.ended.get(timeout=LONG)
        assert backend.received == []


@pytest.mark.parametrize("cert_file", [None, ""], ids=["no SSL_CERT_FILE", "an empty one"])
def test_an_unknown_authority(cert_file: str | None, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without SSL_CERT_FILE, Mozilla's list applies: the certificate of an unknown authority is refused."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if cert_file is not None:
        monkeypatch.setenv("SSL_CERT_FILE", cert_file)
    assert_refused(authority.server(SERVER_NAME))


def test_an_authority_from_ssl_cert_file(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates from an authority in SSL_CERT_FILE are accepted, and the connection is reused."""
    monkeypatch.setenv("SSL_CERT_FILE", authority.list_file)
    with scripted(always(http_response(b"ok")), tls=authority.server(SERVER_NAME)) as backend:
        assert [backend.exchange("POST", "/", KEY, b"secret").data for _ in range(2)] == [b"ok", b"ok"]
        assert [(received.connection, received.body) for received in backend.received] == [
            (0, b"secret"),
            (0, b"secret"),
        ]


@pytest.mark.parametrize(
    ("name", "days"), [(OTHER_NAME, 1), (SERVER_NAME, -1)], ids=["another name", "no longer valid"]
)
def test_an_invalid_certificate(
    name: x509.GeneralName, days: int, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate for another name, or an expired one, is refused even if its authority is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", authority.list_file)
    assert_refused(authority.server(name, days=days))


def test_a_missing_list_of_authorities(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """If SSL_CERT_FILE does not exist, the error names it as the cause. There is no fallback to another list."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/authorities.pem")
    with scripted(always(http_response(b"ok")), tls=authority.server(SERVER_NAME)) as backend:
        with pytest.raises(NoAnswerError, match=r"^SSL_CACERT_BADFILE$"):
            backend.exchange()
        assert backend.received == []
