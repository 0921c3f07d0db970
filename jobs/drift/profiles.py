"""Compares customers with their profiles. Profiles without a customer are ignored."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

from clients.commercetools import CUSTOMER_GROUPS
from clients.klaviyo_lists import PROFILES_PER_FILTER
from core.errors import SyncError
from handlers.comparison import ABSENT, compare_profiles
from jobs.drift.confirmation import Candidates, note_uncompared
from jobs.drift.findings import Report
from jobs.drift.workers import WorkerPool
from jobs.errors_file import ErrorsFile
from jobs.reading import Page, PageSize
from mappers.consent_answer import consent_difference
from mappers.documents import Customer
from mappers.mapped import JsonObject

_PAGE = 500


class ProfileSweep:
    """Compares all customers, or those that match `where`."""

    def __init__(self, pool: WorkerPool, report: Report, errors: ErrorsFile, where: Sequence[str]) -> None:
        self._pool = pool
        self._report = report
        self._errors = errors
        self._where = where
        self._rules = pool.services.settings.sync.consent
        self._candidates: Candidates = {}

    def candidates(self) -> Candidates:
        """Find the customers whose profiles may have drifted, with the state of the shop's side."""
        pool = self._pool
        pool.begin("profiles", pool.call(partial(pool.reader.count, "customers", self._where)))
        size, after, is_last = PageSize(_PAGE), "", False
        documents: list[Customer] = []
        while documents or not is_last:
            parts = range(0, len(documents), PROFILES_PER_FILTER)
            works: list[Any] = [
                partial(self._compare, documents[start : start + PROFILES_PER_FILTER]) for start in parts
            ]
            works += [] if is_last else [partial(self._read, after, size)]
            found = pool.call_all(works)
            documents = []
            if not is_last:
                page: Page = found[-1]
                documents, is_last = list(page.documents), page.is_last
                after = documents[-1]["id"] if documents else after
        return self._candidates

    def _read(self, after: str, size: PageSize) -> Page:
        return self._pool.reader.page("customers", self._where, after, size, expand=CUSTOMER_GROUPS)

    def _compare(self, customers: Sequence[Customer]) -> None:
        services, findings = self._pool.services, self._report.of("profiles")
        ids = [one["id"] for one in customers]
        read = partial(services.klaviyo.lists.profiles, ids, with_consent=self._rules.is_on)
        listed = self._pool.read("Klaviyo's list of profiles", read)
        profiles: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for one in listed:
            profiles[one["attributes"]["external_id"]].append(one["attributes"])
        for customer in customers:
            own_id = customer["id"]
            found = profiles.get(own_id, [])
            try:
                comparison = compare_profiles(own_id, customer, found, services)
            except SyncError as error:
                note_uncompared(("customer", own_id), error, self._report, self._errors)
                self._pool.add_to_total(findings, 1)
                continue
            if comparison.differences:
                self._candidates["customer", own_id] = comparison.shop_state
            if comparison.shop_state != ABSENT:
                self._pool.add_to_total(findings, 1)
                self._compare_consent(customer, found)
            if len(found) > 1:
                findings.duplicates.append(own_id)
        self._pool.step(len(customers))

    def _compare_consent(self, customer: Customer, profiles: Sequence[JsonObject]) -> None:
        """Record where consent differs between the shop and Klaviyo. It is for people to review, and never fixed."""
        if self._rules.is_on and len(profiles) == 1:
            for one in consent_difference(customer, profiles[0], self._pool.services.settings):
                self._pool.run_locked(
                    partial(self._report.of("profiles").add_consent, one.channel, one.wanted, one.found, customer["id"])
                )
