"""Every request is made by an operation of the official SDKs; libcurl only transports it."""

import ast
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from commercetools.base_client import RefreshingOAuth2Session
from openapi_client.api.accounts_api import AccountsApi
from openapi_client.api.catalogs_api import CatalogsApi
from openapi_client.api.data_privacy_api import DataPrivacyApi
from openapi_client.api.events_api import EventsApi
from openapi_client.api.profiles_api import ProfilesApi

from clients.klaviyo_calls import KlaviyoCalls
from clients.transport import Answer, Connections
from commands.processes import ROOT, Sandbox
from core.settings import Settings
from core.version import USER_AGENT
from jobs.entry import run_backfill
from jobs.options import parse_options
from jobs.outcome import DONE
from jobs.progress import LoggedProgress
from sandbox.samples import samples
from tests.functional.conftest import ACKNOWLEDGED, Serve
from tests.functional.documents import change, customer
from tests.functional.test_samples import load_documents

_RAW_SUFFIX = "_without_preload_content"
_GROUPS = (AccountsApi, EventsApi, ProfilesApi, CatalogsApi, DataPrivacyApi)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}


class ActiveMethods(threading.local):
    """The SDK methods that this thread is executing."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @contextmanager
    def entered(self, name: str) -> Iterator[None]:
        """Mark the method as being executed."""
        self.names.append(name)
        try:
            yield
        finally:
            self.names.pop()


Sent = list[tuple[str, list[str]]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Every request of this process: its URL, and the SDK methods that made it."""
    active, requests = ActiveMethods(), []

    def tracked(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def tracking(*arguments: Any, **options: Any) -> Any:
            with active.entered(name):
                return method(*arguments, **options)

        return tracking

    exchange = Connections.exchange

    def recording_exchange(connections: Connections, method: str, url: str, *rest: Any, **options: Any) -> Answer:
        requests.append((url, list(active.names)))
        return exchange(connections, method, url, *rest, **options)

    monkeypatch.setattr(Connections, "exchange", recording_exchange)
    monkeypatch.setattr(RefreshingOAuth2Session, "request", tracked("commercetools", RefreshingOAuth2Session.request))
    for group in _GROUPS:
        for name in [name for name in vars(group) if name.endswith(_RAW_SUFFIX)]:
            monkeypatch.setattr(group, name, tracked(name.removesuffix(_RAW_SUFFIX), getattr(group, name)))
    return requests


def _assert_all_sent_by_sdks(sandbox: Sandbox, sent: Sent) -> None:
    """Check that commercetools' session or a method of a Klaviyo group made every request.

    Both backends get this package's name and version in the User-Agent, in front of the SDK's.
    """
    klaviyo, commercetools = sandbox.klaviyo.requests(kind="api"), sandbox.commercetools.requests()
    assert sorted(names[0] for url, names in sent if names and names != ["commercetools"]) == sorted(
        one["operation"] for one in klaviyo
    )
    assert [url for url, names in sent if len(names) != 1] == []
    assert len(sent) == len(klaviyo) + len(commercetools)
    for requests, sdk in ((klaviyo, "klaviyo-api-python/"), (commercetools, "commercetools-python-sdk/")):
        assert {one["user_agent"].startswith(f"{USER_AGENT} {sdk}") for one in requests} == {True}


def test_every_call_of_the_samples_is_made_by_an_sdk(sandbox: Sandbox, serve: Serve, sent: Sent) -> None:
    """The samples cover everything that messages do."""
    load_documents(sandbox)
    function = serve()
    for sample in samples():
        sample.prepare(sandbox.commercetools)
        assert function.deliver(sample.data).status == ACKNOWLEDGED
    _assert_all_sent_by_sdks(sandbox, sent)


def test_every_call_of_a_bulk_job_is_made_by_an_sdk(
    bulk_shop: Sandbox, settings: Settings, sent: Sent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The bulk job creates products that Klaviyo lacks."""
    monkeypatch.chdir(tmp_path)
    options = parse_options(["--only", "categories", "--only", "products"], settings.sync.backfill, "backfill")
    bulk_shop.klaviyo.fail("^/api/catalog-item-bulk-create-jobs", method="POST", reset="answering", apply=True, count=1)
    assert run_backfill(options, settings, LoggedProgress("backfill")).code == DONE
    operations = {one["operation"] for one in bulk_shop.klaviyo.requests(kind="api")}
    assert {"bulk_create_catalog_items", "get_bulk_create_catalog_items_jobs", "get_catalog_items"} <= operations
    _assert_all_sent_by_sdks(bulk_shop, sent)


def test_no_path_of_klaviyo_is_hard_coded() -> None:
    """The deployed code has no path of Klaviyo's API, and the clients no HTTP method: the SDKs have them."""
    found = []
    for folder in ("clients", "core", "handlers", "mappers", "jobs"):
        for path in (ROOT / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    is_path = re.match(r"/?(api|client)/\S", node.value) is not None
                    if is_path or (folder == "clients" and node.value in _METHODS):
                        found.append(f"{path.name}:{node.lineno}: {node.value}")
    assert found == []


def test_a_group_is_imported_while_the_token_is_fetched(
    sandbox: Sandbox, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance's first message imports Klaviyo's operations only after requesting its token."""
    sandbox.commercetools.put("customers", customer())
    token_requested: queue.Queue[bool] = queue.Queue()
    prepare = KlaviyoCalls.prepare

    def prepare_after_token_request(calls: KlaviyoCalls, group: str) -> None:
        end = time.monotonic() + 5
        while not (tokens := sandbox.commercetools.requests(kind="token")) and time.monotonic() < end:
            time.sleep(0.01)
        token_requested.put(bool(tokens))
        prepare(calls, group)

    monkeypatch.setattr(KlaviyoCalls, "prepare", prepare_after_token_request)
    assert serve().deliver(change("ResourceUpdated", "customer", "customer-1")).outcome == "synced"
    assert token_requested.get(timeout=10)
    assert token_requested.empty()
