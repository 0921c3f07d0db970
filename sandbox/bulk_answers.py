"""Klaviyo's bulk calls: start jobs that import profiles or create catalog records, and read the jobs."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from sandbox.bulk_jobs import BulkJobs, Job
from sandbox.catalog import Catalog
from sandbox.klaviyo_content import LARGEST_PROFILE, check_catalog, identifier_problems
from sandbox.klaviyo_errors import Refused
from sandbox.messages import Answer, Request
from sandbox.pages import Row, filters, matches, page
from sandbox.profiles import Profiles

PROFILE_IMPORT = "profile-bulk-import-job"
BULK_CREATES = {
    "bulk_create_catalog_items": ("catalog-item-bulk-create-job", "items", "catalog-item"),
    "bulk_create_catalog_variants": ("catalog-variant-bulk-create-job", "variants", "catalog-variant"),
}
"""By operation: the job's type, the attribute that holds its rows, and the type of the rows."""
MAX_PROFILES, MAX_RECORDS, MAX_JOBS_IN_PROGRESS = 10_000, 100, 500
JOBS_PAGE, ERRORS_PAGE = (20, 100), (20, 100)
"""Default and largest page size."""
_KIND_OF_PATH = {
    "catalog-item-bulk-create-jobs": "catalog-item-bulk-create-job",
    "catalog-variant-bulk-create-jobs": "catalog-variant-bulk-create-job",
    "profile-bulk-import-jobs": PROFILE_IMPORT,
}


class BulkAnswers:
    """Answers one account's bulk calls. Rejected requests raise Refused."""

    def __init__(self, profiles: Profiles, catalog: Catalog, jobs: BulkJobs) -> None:
        self._profiles = profiles
        self._catalog = catalog
        self._jobs = jobs

    def answer(self, operation: str, request: Request, identity: str, data: Any) -> Answer:
        """Carry out a call whose body has already passed the schema check."""
        if operation == "bulk_import_profiles":
            return self._import(request, data["attributes"]["profiles"]["data"])
        if operation in BULK_CREATES:
            return self._create(operation, request, data["attributes"])
        kind = _KIND_OF_PATH[request.segments[1]]
        if not identity:
            return self._list(request, kind)
        job = self._jobs.find(kind, identity)
        if operation == "get_errors_for_bulk_import_profiles_job":
            return self._errors(request, job)
        resource = job.resource(request.origin)
        if kind != PROFILE_IMPORT:
            resource["attributes"]["errors"] = [_without_row(error) for error in job.errors]
        return Answer(200, {"data": resource})

    def _import(self, request: Request, rows: list[Mapping[str, Any]]) -> Answer:
        if len(rows) > MAX_PROFILES:
            raise Refused(400, f"At most {MAX_PROFILES} profiles.", pointer="/data/attributes/profiles/data")
        for index, row in enumerate(rows):
            if len(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass")) > LARGEST_PROFILE:
                raise Refused(400, "A profile has at most 100 KB.", pointer=f"/data/attributes/profiles/data/{index}")
        job = self._jobs.accept(PROFILE_IMPORT, rows, self._import_one)
        return Answer(202, {"data": job.resource(request.origin)})

    def _import_one(self, row: Mapping[str, Any]) -> None:
        """Upsert one row. Unlike in the upsert call, null leaves a field as it is."""
        given = {name: value for name, value in row["attributes"].items() if value is not None}
        problems = identifier_problems(given, "/data/attributes")
        if problems:
            raise Refused.for_problems(problems)
        if not any(given.get(name) for name in ("email", "phone_number", "external_id")):
            raise Refused(400, "At least one identifier is needed.", pointer="/data/attributes")
        self._profiles.upsert(row.get("id"), given, row.get("meta"))

    def _create(self, operation: str, request: Request, attributes: Mapping[str, Any]) -> Answer:
        job_kind, name, kind = BULK_CREATES[operation]
        rows = attributes[name]["data"]
        if len(rows) > MAX_RECORDS:
            raise Refused(400, f"At most {MAX_RECORDS} records.", pointer=f"/data/attributes/{name}/data")
        if sum(job.status != "complete" for job in self._jobs.of(job_kind)) >= MAX_JOBS_IN_PROGRESS:
            raise Refused(400, f"At most {MAX_JOBS_IN_PROGRESS} jobs may be in progress.", pointer="/data")
        job = self._jobs.accept(job_kind, rows, partial(self._create_one, kind))
        return Answer(202, {"data": job.resource(request.origin)})

    def _create_one(self, kind: str, row: Mapping[str, Any]) -> None:
        check_catalog(row["attributes"])
        self._catalog.create(kind, row)

    def _list(self, request: Request, kind: str) -> Answer:
        conditions = filters(request, {"status": ("equals", "any")})
        jobs = [job for job in self._jobs.of(kind) if all(matches(condition, job.status) for condition in conditions)]
        rows = [Row(int(job.id[-14:]), partial(job.resource, request.origin)) for job in jobs]
        default, largest = JOBS_PAGE
        return Answer(200, page(request, rows, default=default, largest=largest, descending=True))

    def _errors(self, request: Request, job: Job) -> Answer:
        def shown(number: int, error: Mapping[str, Any]) -> dict[str, Any]:
            fields = {name: error[name] for name in ("code", "title", "detail", "source")}
            payload = {"type": "profile", "attributes": job.rows[error["row"]]["attributes"]}
            return {
                "type": "import-error",
                "id": f"{job.id}-{number}",
                "attributes": {**fields, "original_payload": payload},
                "links": {"self": request.origin + request.target},
            }

        rows = [Row(number, partial(shown, number, error)) for number, error in enumerate(job.errors)]
        default, largest = ERRORS_PAGE
        return Answer(200, page(request, rows, default=default, largest=largest))


def _without_row(error: Mapping[str, Any]) -> dict[str, Any]:
    return {name: error[name] for name in ("id", "code", "title", "detail", "source")}
