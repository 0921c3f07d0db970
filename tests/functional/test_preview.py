"""`manage.py preview` shows exactly what the function sends, and writes nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands.processes import Function, Sandbox, running_function
from manage import manage
from sandbox.samples import DOCUMENTS, ENVIRONMENT, SAMPLES, samples
from tests.functional.conftest import ACKNOWLEDGED
from tests.functional.failure_cases import FakeTopic

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run `manage.py preview …`."""
    return lambda *arguments: CliRunner().invoke(manage, ["preview", *arguments])


@pytest.fixture
def no_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names no backend. The variables that the command sets itself are restored afterwards."""
    for name in ("CT_API_URL", "CT_AUTH_URL", "CT_PROJECT_ID", "CT_SCOPE", "CT_API_CLIENT"):
        monkeypatch.setenv(name, "")
    for name in ("KLAVIYO_AUTH_KEY", "KLAVIYO_API_URL"):
        monkeypatch.setenv(name, "")


def _comparable(request: dict[str, Any]) -> str:
    body = request["body"]
    return json.dumps([request["method"], request["path"], body], sort_keys=True)


@pytest.fixture
def function(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, settings_file: Callable[[str], str]
) -> Iterator[Function]:
    """A function in its own process, with the samples' documents. `preview` gets the same environment.

    It does not cache the categories of products: a preview reads the current ones.
    """
    without_cache = settings_file("[limits]\nproduct_categories_ttl = 0\n")
    environment = {**sandbox.environment, **ENVIRONMENT, "SYNC_CONFIG": without_cache}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for folder in DOCUMENTS.iterdir():
        for path in folder.iterdir():
            sandbox.commercetools.put(folder.name, json.loads(path.read_text(encoding="utf-8")))
    with running_function(environment) as function:
        yield function


def test_every_sample_is_previewed_as_it_is_sent(sandbox: Sandbox, function: Function, run: Run) -> None:
    """Outcome and writes of the preview equal those of the delivery after it, and the preview changes nothing."""
    for sample in samples():
        sample.prepare(sandbox.commercetools)
        before = sandbox.klaviyo.state()
        shown = json.loads(run(str(SAMPLES / sample.file), "--json").stdout)[0]
        assert sandbox.klaviyo.state() == before, sample.file
        sandbox.klaviyo.forget_requests()
        function.push(sample.data, sample.file)
        line = function.outcome(sample.file)
        sent = [request for request in sandbox.klaviyo.requests(kind="api") if request["method"] != "GET"]
        assert (shown["outcome"], shown["reason"]) == (line["outcome"], line.get("reason")), sample.file
        assert sorted(map(_comparable, shown["requests"])) == sorted(map(_comparable, sent)), sample.file


@pytest.mark.usefixtures("no_accounts")
def test_without_accounts_it_reads_the_documents_of_the_samples(run: Run) -> None:
    """Without any settings it uses stand-ins that have the samples' documents."""
    result = run(str(SAMPLES / "13-customer-created.json"))
    assert result.exit_code == 0, result.output
    assert "customer/CustomerCreated: synced" in result.output
    assert "POST /api/profile-import" in result.output


@pytest.mark.usefixtures("no_accounts")
def test_documents_of_your_own(run: Run, tmp_path: Path) -> None:
    """With --documents, a folder takes the place of commercetools."""
    folder = tmp_path / "customers"
    folder.mkdir()
    customer = {"id": "c1", "version": 2, "email": "own@example.com", "addresses": []}
    (folder / "c1.json").write_text(json.dumps(customer), encoding="utf-8")
    delivery = {
        "notificationType": "ResourceUpdated", "projectKey": "shop", "resource": {"typeId": "customer", "id": "c1"},
        "version": 2, "oldVersion": 1, "modifiedAt": "2026-11-01T10:00:00.000Z",
    }  # fmt: skip
    file = tmp_path / "delivery.json"
    file.write_text(json.dumps(delivery), encoding="utf-8")
    result = run(str(file), "--documents", str(tmp_path), "--diff")
    assert result.exit_code == 0, result.output
    assert '+ email = "own@example.com"' in result.output


def test_the_diff_names_what_would_change(sandbox: Sandbox, function: Function, run: Run) -> None:
    """--diff compares with Klaviyo: of an existing item only the changed attribute is shown."""
    file = SAMPLES / "05-product-published-tote.json"
    assert function.push(file.read_bytes(), "published") == ACKNOWLEDGED
    product_id = json.loads(file.read_text(encoding="utf-8"))["resource"]["id"]
    data = sandbox.commercetools.document("products", product_id)["masterData"]
    data["current"]["description"] = {"en-US": "Another text"}
    sandbox.commercetools.patch("products", product_id, {"masterData": data})
    lines = run(str(file), "--diff").output.splitlines()
    changed = {line.split()[1] for line in lines if line.startswith("  ~")}
    assert changed == {"description"}


@pytest.mark.usefixtures("no_accounts")
def test_a_poison_message_is_previewed(run: Run, dead_letters: FakeTopic, tmp_path: Path) -> None:
    """It is shown as dead-lettered with its reason; exit 1, and no dead letter is published."""
    file = tmp_path / "poison.json"
    file.write_text("not json", encoding="utf-8")
    result = run(str(file))
    assert result.exit_code == 1
    assert "unreadable: dead-lettered: not_json JSONDecodeError (it is not JSON)" in result.output
    assert dead_letters.published == []


def test_a_missing_file(run: Run) -> None:
    """One clear line, exit 1, and no traceback."""
    result = run("nowhere.json")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == "Error: nowhere.json: No such file or directory"
