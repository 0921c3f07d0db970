"""Every sample has its effect within its budget of calls, and delivering it twice changes nothing."""

import json
from typing import Any

import pytest

from commands.check_commercetools import SCOPES
from commands.processes import Sandbox
from sandbox.samples import DOCUMENTS, Sample, samples
from tests.functional.conftest import ACKNOWLEDGED, Function, Serve
from tests.functional.klaviyo_state import comparable


def load_documents(sandbox: Sandbox) -> None:
    """Put the documents that the samples refer to into the sandbox."""
    for folder in DOCUMENTS.iterdir():
        for path in folder.iterdir():
            sandbox.commercetools.put(folder.name, json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture
def shop(sandbox: Sandbox) -> Sandbox:
    """The sandbox with the documents of the samples."""
    load_documents(sandbox)
    return sandbox


def test_every_sample_has_its_effect_within_its_budget(shop: Sandbox, function: Function) -> None:
    """In order, each sample ends as it declares, and costs no more calls than its budget."""
    for sample in samples():
        sample.prepare(shop.commercetools)
        shop.commercetools.forget_requests()
        shop.klaviyo.forget_requests()
        answer = function.deliver(sample.data)
        assert (answer.status, answer.outcome) == (ACKNOWLEDGED, sample.outcome), sample.file
        assert sample.problems(shop.klaviyo.state()) == [], sample.file
        read, written = shop.commercetools.requests(kind="api"), shop.klaviyo.requests(kind="api")
        assert len(read) <= sample.reads, f"{sample.file}: {[one['operation'] for one in read]}"
        assert len(written) <= sample.writes, f"{sample.file}: {[one['operation'] for one in written]}"


def test_a_redelivered_sample_changes_nothing(shop: Sandbox, function: Function) -> None:
    """Each sample delivered twice leaves the same state as delivered once."""
    for sample in samples():
        sample.prepare(shop.commercetools)
        once = _deliver(sample, function, shop)
        assert _deliver(sample, function, shop) == once, sample.file


def test_the_scopes_that_check_asks_for_are_enough(shop: Sandbox, serve: Serve) -> None:
    """They are enough for every sample, and `view_published_products` is needed.

    The sandbox enforces that scope as commercetools documents it.
    """
    shop.commercetools.tokens(enforce_scopes=True)
    names = {scope.name for scope in SCOPES}
    without_scope = serve(CT_SCOPE=" ".join(f"{name}:shop" for name in names - {"view_published_products"}))
    published = next(sample for sample in samples() if sample.name == "product-published-tote")
    assert without_scope.deliver(published.data).reason == "commercetools_denied"
    shop.klaviyo.reset()
    complete = serve(CT_SCOPE=" ".join(f"{name}:shop" for name in names))
    for sample in samples():
        sample.prepare(shop.commercetools)
        assert complete.deliver(sample.data).outcome == sample.outcome, sample.file
        assert sample.problems(shop.klaviyo.state()) == [], sample.file


def _deliver(sample: Sample, function: Function, shop: Sandbox) -> dict[str, Any]:
    assert function.deliver(sample.data).status == ACKNOWLEDGED, sample.file
    return comparable(shop.klaviyo.state())
