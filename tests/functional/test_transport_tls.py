"""Whom the transport trusts: authorities that are known, for the name that was asked for, while it is valid."""

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

HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
ELSEWHERE = x509.DNSName("shop.example")
KEY = ["Authorization: Klaviyo-API-Key secret"]


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates, and is known to nobody until its own one is put in the list of authorities."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def listed(self) -> str:
        """The file of a list with this authority alone."""
        path = self.folder / "authorities.pem"
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return str(path)

    def server(self, name: x509.GeneralName, *, days: int = 1) -> ssl.SSLContext:
        """A server's side of TLS, with a certificate for this name that ends in so many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _begun("a server", "an authority", days)
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


def _begun(subject: str, issuer: str, days: int) -> x509.CertificateBuilder:
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
    """An authority of this test alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _begun("an authority", "an authority", 1)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(tmp_path, key, certificate)


@pytest.fixture(autouse=True)
def _authorities_are_read_anew() -> Iterator[None]:
    transport._authorities.cache_clear()
    yield
    transport._authorities.cache_clear()


def assert_refused(tls: ssl.SSLContext) -> None:
    """Hold that the certificate is refused, and nothing was sent."""
    with scripted(always(http_response(b"ok")), tls=tls) as backend:
        with pytest.raises(NoAnswerError) as caught:
            backend.exchange("POST", "/secret", KEY, b"secret")
        assert caught.value.code == "PEER_FAILED_VERIFICATION"
        backend.server.ended.get(timeout=LONG)
        assert backend.received == []


@pytest.mark.parametrize("named", [None, ""], ids=["no SSL_CERT_FILE", "an empty one"])
def test_an_unknown_authority(named: str | None, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mozilla's list is what counts where no other is named: the certificate is refused."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if named is not None:
        monkeypatch.setenv("SSL_CERT_FILE", named)
    assert_refused(authority.server(HERE))


def test_an_authority_of_ones_own(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE names it: its certificates are accepted, and the connection is kept."""
    monkeypatch.setenv("SSL_CERT_FILE", authority.listed)
    with scripted(always(http_response(b"ok")), tls=authority.server(HERE)) as backend:
        assert [backend.exchange("POST", "/", KEY, b"secret").data for _ in range(2)] == [b"ok", b"ok"]
        assert [(got.connection, got.body) for got in backend.received] == [(0, b"secret"), (0, b"secret")]


@pytest.mark.parametrize(("name", "days"), [(ELSEWHERE, 1), (HERE, -1)], ids=["another name", "no longer valid"])
def test_a_certificate_of_no_use(
    name: x509.GeneralName, days: int, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its authority is known, a certificate for another name or another time is refused."""
    monkeypatch.setenv("SSL_CERT_FILE", authority.listed)
    assert_refused(authority.server(name, days=days))


def test_a_list_that_is_not_there(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named as what is wrong, and no other list is taken in its place."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/authorities.pem")
    with scripted(always(http_response(b"ok")), tls=authority.server(HERE)) as backend:
        with pytest.raises(NoAnswerError, match=r"^SSL_CACERT_BADFILE$"):
            backend.exchange()
        assert backend.received == []
