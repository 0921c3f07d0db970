"""Who may push: with PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT, Pub/Sub with a token of Google's, and nobody else."""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
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
from tests.functional.conftest import ACKNOWLEDGED, REFUSED, Function, Serve
from tests.functional.documents import customer, message
from tests.functional.scripted_server import Backend, Ending, Received, http_response, scripted

DENIED = 401
AUDIENCE = "https://sync.shop.example/push"
ACCOUNT = "pusher@my-project.iam.gserviceaccount.com"
SETTINGS = {"PUSH_AUDIENCE": AUDIENCE, "PUSH_SERVICE_ACCOUNT": ACCOUNT}
CREATED = message("CustomerCreated", "customer", "customer-1")
BODY = {"message": {"data": base64.b64encode(json.dumps(CREATED).encode()).decode(), "messageId": "m1"}}
GOOGLES, SOMEBODYS = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


def certificate(key: rsa.RSAPrivateKey) -> str:
    """A certificate of the key, as Google publishes one."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "federated-signon.system.gserviceaccount.com")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=14))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


CERTIFICATES = [certificate(GOOGLES), certificate(rsa.generate_private_key(public_exponent=65537, key_size=2048))]
PUBLISHED = http_response(json.dumps(dict(zip(("google-1", "google-2"), CERTIFICATES, strict=True))).encode())


def claims(**changes: Any) -> dict[str, Any]:
    """What Pub/Sub's token says; None takes a claim out."""
    now = int(time.time())
    said = {
        "iss": "https://accounts.google.com", "aud": AUDIENCE, "azp": "113774264463038321964",
        "sub": "113774264463038321964", "email": ACCOUNT, "email_verified": True, "iat": now - 60, "exp": now + 3540,
    }  # fmt: skip
    return {name: value for name, value in (said | changes).items() if value is not None}


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def token(
    said: Any = None, *, key: rsa.RSAPrivateKey = GOOGLES, kid: str | None = "google-1", alg: str = "RS256"
) -> str:
    """A signed token, by default one that Pub/Sub would send."""
    header = {"alg": alg, "typ": "JWT"} | ({"kid": kid} if kid else {})
    parts = [json.dumps(part).encode() for part in (header, claims() if said is None else said)]
    signed = ".".join(map(_encoded, parts))
    return f"{signed}.{_encoded(_signature(alg, key, signed.encode()))}"


def _signature(alg: str, key: rsa.RSAPrivateKey, signed: bytes) -> bytes:
    match alg:
        case "none":
            return b""
        case "HS256":  # keyed with what everybody knows
            secret = hmac.HMAC(CERTIFICATES[0].encode(), hashes.SHA256())
            secret.update(signed)
            return secret.finalize()
        case _:
            return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())


@dataclass(slots=True)
class Google:
    """Where the certificates are; `answer` is what comes next."""

    backend: Backend
    answer: list[bytes | Ending] = field(default_factory=lambda: [PUBLISHED])

    @property
    def fetched(self) -> int:
        """How often the certificates were asked for."""
        return len(self.backend.received)


@pytest.fixture
def google_certificates(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """A stand-in for Google's address of certificates, which google-auth's constant is set to."""
    next_answers: list[Google] = []

    def script(received: Received) -> Iterator[bytes | Ending]:
        assert (received.method, received.target) == ("GET", "/oauth2/v1/certs")
        yield from next_answers[0].answer

    with scripted(script) as backend:
        next_answers.append(Google(backend))
        monkeypatch.setattr(id_token, "_GOOGLE_OAUTH2_CERTS_URL", f"{backend.server.url}/oauth2/v1/certs")
        yield next_answers[0]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Seconds that `ahead` puts the clock of the kept certificates forward."""
    moved = SimpleNamespace(ahead=0.0)
    forwarded = SimpleNamespace(monotonic=lambda: time.monotonic() + moved.ahead)
    monkeypatch.setattr("clients.push_tokens.time", forwarded)
    return moved


@pytest.fixture
def checking(google_certificates: Google, clock: SimpleNamespace, sandbox: Sandbox, serve: Serve) -> Function:
    """A function that checks who calls, and one customer in commercetools."""
    assert (google_certificates.fetched, clock.ahead) == (0, 0)
    sandbox.commercetools.put("customers", customer())
    return serve(**SETTINGS)


def push(function: Function, authorization: str | None) -> requests.Response:
    """A push with this header."""
    headers = {} if authorization is None else {"Authorization": authorization}
    function.note_personal(json.dumps(BODY).encode())
    return requests.post(function.url, json=BODY, headers=headers, timeout=30)


def refusals(function: Function) -> list[tuple[Any, ...]]:
    """What was logged of refused pushes; no line of a message is among them."""
    lines = function.lines()
    assert not [line for line in lines if "outcome" in line]
    return [(line["severity"], line["status"], line["reason"]) for line in lines if line["message"] == "push refused"]


def nothing_done(sandbox: Sandbox) -> bool:
    """Whether neither backend was asked for anything."""
    return sandbox.commercetools.requests() == sandbox.klaviyo.requests() == []


@pytest.mark.parametrize(
    ("changes", "scheme"),
    [({}, "Bearer"), ({}, "bearer"), ({"iss": "accounts.google.com"}, "Bearer"),
     ({"exp": -5}, "Bearer"), ({"iat": 5}, "Bearer")],
    ids=["as Pub/Sub sends it", "scheme in lower case", "issuer without https", "expired 5 s ago", "5 s early"],
)  # fmt: skip
def test_the_right_token(checking: Function, sandbox: Sandbox, changes: Mapping[str, Any], scheme: str) -> None:
    """Pub/Sub's token for the account and audience, up to 10 s beside our clock: the message is synced."""
    assert push(checking, f"{scheme} {token(claims(**from_now(changes)))}").status_code == ACKNOWLEDGED
    assert checking.line("m1")["outcome"] == "synced"
    assert len(sandbox.klaviyo.state()["profiles"]) == 1


def from_now(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Claims whose times are said in seconds from now."""
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
    checking: Function, sandbox: Sandbox, changes: Mapping[str, Any], reason: str
) -> None:
    """401, one line that says why and quotes nothing of the token, and no work done."""
    answer = push(checking, f"Bearer {token(claims(**from_now(changes)))}")
    assert (answer.status_code, answer.headers["WWW-Authenticate"], answer.text) == (DENIED, "Bearer", "")
    assert refusals(checking) == [("WARNING", DENIED, reason)]
    assert nothing_done(sandbox)


def _of_another_payload() -> str:
    header, _, signature = token(claims(email="other@example.com")).split(".")
    return ".".join((header, token().split(".")[1], signature))


@pytest.mark.parametrize(
    "made",
    [
        lambda: token(key=SOMEBODYS),
        lambda: token(kid="google-2"),
        lambda: token(kid="google-3"),
        lambda: token(key=SOMEBODYS, kid=None),
        lambda: token(alg="none"),
        lambda: token(alg="HS256"),
        lambda: token(alg="ES256"),
        lambda: token(alg="RS512"),
        lambda: token(["no", "claims"]),
        lambda: token().rpartition(".")[0] + ".",
        lambda: token().rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE",
        lambda: token().replace(".", ""),
        lambda: f"{token()}, Bearer {token()}",
        _of_another_payload,
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
def test_what_google_did_not_sign(checking: Function, sandbox: Sandbox, made: Callable[[], str]) -> None:
    """401 whatever is wrong with it, and no work done."""
    assert push(checking, f"Bearer {made()}").status_code == DENIED
    assert refusals(checking) in ([("WARNING", DENIED, "invalid_token")], [("WARNING", DENIED, "no_token")])
    assert nothing_done(sandbox)


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic dXNlcjpwYXNzd29yZA==", "no scheme at all"])
def test_no_token(checking: Function, sandbox: Sandbox, google_certificates: Google, authorization: str | None) -> None:
    """401, without asking Google for anything."""
    assert push(checking, authorization).status_code == DENIED
    assert refusals(checking) == [("WARNING", DENIED, "no_token")]
    assert nothing_done(sandbox)
    assert google_certificates.fetched == 0


@pytest.mark.parametrize(
    "answer",
    [
        [http_response(b"{}", status="503 Service Unavailable")],
        [http_response(PUBLISHED.partition(b"\r\n\r\n")[2], status="404 Not Found")],
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
def test_certificates_that_can_not_be_had(
    checking: Function, sandbox: Sandbox, google_certificates: Google, clock: SimpleNamespace, answer: list[Any]
) -> None:
    """503, so the message stays with Pub/Sub; nobody asks again for 5 s, then all is well."""
    google_certificates.answer = answer
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: push(checking, f"Bearer {token()}").status_code, range(4)))
    assert answers == [REFUSED] * 4
    assert refusals(checking) == [("WARNING", REFUSED, "no_certificates")] * 4
    assert nothing_done(sandbox)
    asked = google_certificates.fetched
    google_certificates.answer = [PUBLISHED]
    clock.ahead = 4
    assert push(checking, f"Bearer {token()}").status_code == REFUSED
    assert google_certificates.fetched == asked
    clock.ahead = 6
    assert push(checking, f"Bearer {token()}").status_code == ACKNOWLEDGED


def test_certificates_that_do_not_come(
    google_certificates: Google, serve: Serve, settings_file: Callable[[str], str]
) -> None:
    """The wait for them ends with `read_timeout`."""
    google_certificates.answer = [PUBLISHED[:-1]]
    function = serve(**SETTINGS, SYNC_CONFIG=settings_file("[limits]\nread_timeout = 0.5\n"))
    started = time.monotonic()
    assert push(function, f"Bearer {token()}").status_code == REFUSED
    assert time.monotonic() - started < 5
    assert refusals(function) == [("WARNING", REFUSED, "no_certificates")]


def test_certificates_are_kept_for_an_hour(
    checking: Function, google_certificates: Google, clock: SimpleNamespace
) -> None:
    """They are fetched once by all who need them at the same time, and again when the hour is over."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: push(checking, f"Bearer {token()}").status_code, range(16)))
    assert (answers, google_certificates.fetched) == ([ACKNOWLEDGED] * 16, 1)
    for ahead, fetched in ((3590, 1), (3610, 2)):
        clock.ahead = ahead
        assert push(checking, f"Bearer {token()}").status_code == ACKNOWLEDGED
        assert google_certificates.fetched == fetched


def test_health_needs_no_token(checking: Function, google_certificates: Google) -> None:
    """Who watches the machine has none."""
    assert requests.get(checking.url, timeout=30).text == "ok\n"
    assert google_certificates.fetched == 0


def test_without_the_settings_nobody_is_checked(sandbox: Sandbox, serve: Serve, google_certificates: Google) -> None:
    """On Google IAM does it, before the push gets here, and leaves a token that could not be verified."""
    sandbox.commercetools.put("customers", customer())
    function = serve(K_SERVICE="klaviyo-sync")
    assert push(function, "Bearer e30.e30.SIGNATURE_REMOVED_BY_GOOGLE").status_code == ACKNOWLEDGED
    assert google_certificates.fetched == 0


def test_stand_ins_check_nobody(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `demo` and its page start takes their pushes, whatever stands in the environment of who starts them."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    sandbox.commercetools.put("customers", customer())
    with running_function(sandbox.environment) as function:
        assert function.push(json.dumps(CREATED).encode(), "m1") == ACKNOWLEDGED
