"""With PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT set, only Pub/Sub with a Google-signed token may push."""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from google.oauth2 import id_token

from commands.processes import Sandbox, running_function
from tests.fake_clock import FakeClock
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Function, Serve
from tests.functional.documents import customer, message
from tests.functional.scripted_server import Backend, Ending, Received, http_response, scripted

DENIED = 401
AUDIENCE = "https://sync.shop.example/push"
ACCOUNT = "pusher@my-project.iam.gserviceaccount.com"
SETTINGS = {"PUSH_AUDIENCE": AUDIENCE, "PUSH_SERVICE_ACCOUNT": ACCOUNT}
CREATED = message("CustomerCreated", "customer", "customer-1")
BODY = {"message": {"data": base64.b64encode(json.dumps(CREATED).encode()).decode(), "messageId": "m1"}}
GOOGLE_KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


def certificate(key: rsa.RSAPrivateKey) -> str:
    """A certificate of the key, in the form that Google publishes."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "federated-signon.system.gserviceaccount.com")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=14))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


CERTIFICATES = [certificate(GOOGLE_KEY), certificate(rsa.generate_private_key(public_exponent=65537, key_size=2048))]
CERTIFICATES_RESPONSE = http_response(
    json.dumps(dict(zip(("google-1", "google-2"), CERTIFICATES, strict=True))).encode()
)


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of Pub/Sub's token. A change to None removes the claim."""
    now = int(time.time())
    payload = {
        "iss": "https://accounts.google.com", "aud": AUDIENCE, "azp": "113774264463038321964",
        "sub": "113774264463038321964", "email": ACCOUNT, "email_verified": True, "iat": now - 60, "exp": now + 3540,
    }  # fmt: skip
    return {name: value for name, value in (payload | changes).items() if value is not None}


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def token(
    payload: Any = None, *, key: rsa.RSAPrivateKey = GOOGLE_KEY, kid: str | None = "google-1", alg: str = "RS256"
) -> str:
    """A signed token; by default the one that Pub/Sub would send."""
    header = {"alg": alg, "typ": "JWT"} | ({"kid": kid} if kid else {})
    parts = [json.dumps(part).encode() for part in (header, claims() if payload is None else payload)]
    signed = ".".join(map(_encoded, parts))
    return f"{signed}.{_encoded(_signature(alg, key, signed.encode()))}"


def _signature(alg: str, key: rsa.RSAPrivateKey, signed: bytes) -> bytes:
    match alg:
        case "none":
            return b""
        case "HS256":  # signed with a public certificate as the secret
            secret = hmac.HMAC(CERTIFICATES[0].encode(), hashes.SHA256())
            secret.update(signed)
            return secret.finalize()
        case _:
            return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())


@dataclass(slots=True)
class CertificateServer:
    """Serves Google's certificates. `answer` is its answer to every request."""

    backend: Backend
    answer: list[bytes | Ending] = field(default_factory=lambda: [CERTIFICATES_RESPONSE])

    @property
    def fetch_count(self) -> int:
        """How many times the certificates were fetched."""
        return len(self.backend.received)


@pytest.fixture
def google_certificates(monkeypatch: pytest.MonkeyPatch) -> Iterator[CertificateServer]:
    """A stand-in for Google's certificate URL; google-auth's constant is set to its address."""
    servers: list[CertificateServer] = []

    def script(received: Received) -> Iterator[bytes | Ending]:
        assert (received.method, received.target) == ("GET", "/oauth2/v1/certs")
        yield from servers[0].answer

    with scripted(script) as backend:
        servers.append(CertificateServer(backend))
        monkeypatch.setattr(id_token, "_GOOGLE_OAUTH2_CERTS_URL", f"{backend.server.url}/oauth2/v1/certs")
        yield servers[0]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock by which cached certificates expire."""
    clock = FakeClock()
    monkeypatch.setattr("clients.push_tokens.time", clock)
    return clock


@pytest.fixture
def verifying(google_certificates: CertificateServer, clock: FakeClock, sandbox: Sandbox, serve: Serve) -> Function:
    """A function that verifies tokens, with one customer in commercetools."""
    assert (google_certificates.fetch_count, clock.waits) == (0, [])
    sandbox.commercetools.put("customers", customer())
    return serve(**SETTINGS)


def push(function: Function, authorization: str | None) -> requests.Response:
    """Push with this Authorization header."""
    headers = {} if authorization is None else {"Authorization": authorization}
    function.note_personal(json.dumps(BODY).encode())
    return requests.post(function.url, json=BODY, headers=headers, timeout=30)


def refusals(function: Function) -> list[tuple[Any, ...]]:
    """Severity, status and reason of each refused push in the log. Checks that no message has a line."""
    lines = function.lines()
    assert not [line for line in lines if "outcome" in line]
    return [(line["severity"], line["status"], line["reason"]) for line in lines if line["message"] == "push refused"]


def no_backend_called(sandbox: Sandbox) -> bool:
    """True if neither backend was called."""
    return sandbox.commercetools.requests() == sandbox.klaviyo.requests() == []


@pytest.mark.parametrize(
    ("changes", "scheme"),
    [({}, "Bearer"), ({}, "bearer"), ({"iss": "accounts.google.com"}, "Bearer"),
     ({"exp": -5}, "Bearer"), ({"iat": 5}, "Bearer")],
    ids=["as Pub/Sub sends it", "scheme in lower case", "issuer without https", "expired 5 s ago", "issued 5 s ahead"],
)  # fmt: skip
def test_a_valid_token(verifying: Function, sandbox: Sandbox, changes: Mapping[str, Any], scheme: str) -> None:
    """Pub/Sub's token for the account and audience is accepted, with up to 10 s of clock skew."""
    assert push(verifying, f"{scheme} {token(claims(**from_now(changes)))}").status_code == ACKNOWLEDGED
    assert verifying.line("m1")["outcome"] == "synced"
    assert len(sandbox.klaviyo.state()["profiles"]) == 1


def from_now(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The claims, with times given in seconds from now."""
    return {
        name: int(time.time()) + value if name in ("iat", "exp") and isinstance(value, int) else value
        for name, value in changes.items()
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": "https://other.example/push"}, "invalid_token"),
        ({"aud": f"{AUDIENCE}/"}, "invalid_token"),
        ({"aud": [AUDIENCE]}, "invalid_token"),
        ({"aud": None}, "invalid_token"),
        ({"iss": "https://accounts.google.com.example"}, "invalid_token"),
        ({"iss": None}, "invalid_token"),
        ({"exp": -15}, "invalid_token"),
        ({"exp": None}, "invalid_token"),
        ({"exp": "never"}, "invalid_token"),
        ({"iat": 60}, "invalid_token"),
        ({"email": "other@my-project.iam.gserviceaccount.com"}, "wrong_account"),
        ({"email": ACCOUNT.upper()}, "wrong_account"),
        ({"email": None}, "wrong_account"),
        ({"email_verified": False}, "email_not_verified"),
        ({"email_verified": "true"}, "email_not_verified"),
        ({"email_verified": None}, "email_not_verified"),
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim(
    verifying: Function, sandbox: Sandbox, changes: Mapping[str, Any], reason: str
) -> None:
    """401, one log line that gives the reason but quotes nothing of the token, and no backend is called."""
    answer = push(verifying, f"Bearer {token(claims(**from_now(changes)))}")
    assert (answer.status_code, answer.headers["WWW-Authenticate"], answer.text) == (DENIED, "Bearer", "")
    assert refusals(verifying) == [("WARNING", DENIED, reason)]
    assert no_backend_called(sandbox)


def _token_with_other_claims() -> str:
    header, _, signature = token(claims(email="other@example.com")).split(".")
    return ".".join((header, token().split(".")[1], signature))


@pytest.mark.parametrize(
    "make_token",
    [
        lambda: token(key=OTHER_KEY),
        lambda: token(kid="google-2"),
        lambda: token(kid="google-3"),
        lambda: token(key=OTHER_KEY, kid=None),
        lambda: token(alg="none"),
        lambda: token(alg="HS256"),
        lambda: token(alg="ES256"),
        lambda: token(alg="RS512"),
        lambda: token(["no", "claims"]),
        lambda: token().rpartition(".")[0] + ".",
        lambda: token().rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE",
        lambda: token().replace(".", ""),
        lambda: f"{token()}, Bearer {token()}",
        _token_with_other_claims,
        lambda: "x.y.z",
        lambda: "\xe9.\xe9.\xe9",
        lambda: f"{_encoded(b'[' * 5000)}.e30.e30",
        lambda: " ",
    ],
    ids=[
        "signed by another", "signed by another key of Google's", "unknown key", "no key named",
        "alg none", "keyed with the certificate", "alg of another kind of key", "unknown alg", "claims no object",
        "no signature", "as Cloud Run hands it on", "no dots", "two tokens", "claims of another token", "no base64",
        "not ASCII", "nested too deeply", "blank",
    ],
)  # fmt: skip
def test_a_token_that_google_did_not_sign(verifying: Function, sandbox: Sandbox, make_token: Callable[[], str]) -> None:
    """401 whatever is wrong with it, and no backend is called."""
    assert push(verifying, f"Bearer {make_token()}").status_code == DENIED
    assert refusals(verifying) in ([("WARNING", DENIED, "invalid_token")], [("WARNING", DENIED, "no_token")])
    assert no_backend_called(sandbox)


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic dXNlcjpwYXNzd29yZA==", "no scheme at all"])
def test_no_token(
    verifying: Function, sandbox: Sandbox, google_certificates: CertificateServer, authorization: str | None
) -> None:
    """401, without fetching certificates from Google."""
    assert push(verifying, authorization).status_code == DENIED
    assert refusals(verifying) == [("WARNING", DENIED, "no_token")]
    assert no_backend_called(sandbox)
    assert google_certificates.fetch_count == 0


@pytest.mark.parametrize(
    "answer",
    [
        [http_response(b"{}", status="503 Service Unavailable")],
        [http_response(CERTIFICATES_RESPONSE.partition(b"\r\n\r\n")[2], status="404 Not Found")],
        [http_response(b"<html>Log in to the network</html>")],
        [http_response(b"{}")],
        [http_response(b'["google-1"]')],
        [http_response(b'{"keys": []}')],
        [http_response(b'{"google-1": "no certificate"}')],
        [http_response(b"[" * 100_000)],
        [Ending.RESET],
    ],
    ids=[
        "503",
        "404",
        "HTML",
        "none",
        "a list",
        "keys of another form",
        "no certificate",
        "nested too deeply",
        "cut off",
    ],
)
def test_certificates_that_can_not_be_fetched(
    verifying: Function,
    sandbox: Sandbox,
    google_certificates: CertificateServer,
    clock: FakeClock,
    answer: list[Any],
) -> None:
    """503, so the message stays with Pub/Sub. The next fetch is 5 s later; then pushes succeed."""
    google_certificates.answer = answer
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: push(verifying, f"Bearer {token()}").status_code, range(4)))
    assert answers == [REFUSED] * 4
    assert refusals(verifying) == [("WARNING", REFUSED, "no_certificates")] * 4
    assert no_backend_called(sandbox)
    fetched_before = google_certificates.fetch_count
    google_certificates.answer = [CERTIFICATES_RESPONSE]
    clock.now += 4
    assert push(verifying, f"Bearer {token()}").status_code == REFUSED
    assert google_certificates.fetch_count == fetched_before
    clock.now += 2
    assert push(verifying, f"Bearer {token()}").status_code == ACKNOWLEDGED


def test_certificates_that_do_not_arrive(
    google_certificates: CertificateServer, serve: Serve, settings_file: Callable[[str], str]
) -> None:
    """The fetch times out after `read_timeout`."""
    google_certificates.answer = [CERTIFICATES_RESPONSE[:-1]]
    function = serve(**SETTINGS, SYNC_CONFIG=settings_file("[limits]\nread_timeout = 0.5\n"))
    started = time.monotonic()
    assert push(function, f"Bearer {token()}").status_code == REFUSED
    assert time.monotonic() - started < 5
    assert refusals(function) == [("WARNING", REFUSED, "no_certificates")]


def test_certificates_are_cached_for_an_hour(
    verifying: Function, google_certificates: CertificateServer, clock: FakeClock
) -> None:
    """Concurrent pushes share one fetch. After an hour they are fetched again."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: push(verifying, f"Bearer {token()}").status_code, range(16)))
    assert (answers, google_certificates.fetch_count) == ([ACKNOWLEDGED] * 16, 1)
    for seconds, fetch_count in ((3590, 1), (20, 2)):
        clock.now += seconds
        assert push(verifying, f"Bearer {token()}").status_code == ACKNOWLEDGED
        assert google_certificates.fetch_count == fetch_count


def test_health_needs_no_token(verifying: Function, google_certificates: CertificateServer) -> None:
    """Health checks don't send one."""
    assert requests.get(verifying.url, timeout=30).text == "ok\n"
    assert google_certificates.fetch_count == 0


def test_without_the_settings_no_token_is_verified(
    sandbox: Sandbox, serve: Serve, google_certificates: CertificateServer
) -> None:
    """On Google, IAM verifies the push first and leaves a token that can't be verified again."""
    sandbox.commercetools.put("customers", customer())
    function = serve(K_SERVICE="klaviyo-sync")
    assert push(function, "Bearer e30.e30.SIGNATURE_REMOVED_BY_GOOGLE").status_code == ACKNOWLEDGED
    assert google_certificates.fetch_count == 0


def test_functions_of_the_demo_verify_no_token(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions that `demo` and its page start accept their pushes, whatever the environment says."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    sandbox.commercetools.put("customers", customer())
    with running_function(sandbox.environment) as function:
        assert function.push(json.dumps(CREATED).encode(), "m1") == ACKNOWLEDGED
