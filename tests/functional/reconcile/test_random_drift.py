"""Random drift: `reconcile` reports exactly what is wrong, and `--fix` has the live handlers fix it."""

import random

import pytest

from commands.processes import Sandbox
from core.settings import Settings
from tests.functional.conftest import Serve
from tests.functional.damage import Damage
from tests.functional.expected_state import catalog_problems
from tests.functional.job_runs import Job
from tests.functional.klaviyo_state import klaviyo_records
from tests.functional.synced_shop import open_shop, reconcile_config, reconcile_job, sync_all, writes

COMPARED = ("--only", "categories", "--only", "items", "--only", "variants", "--only", "profiles")


@pytest.mark.timeout(240)
def test_random_drift_is_reported_exactly_and_fixed(
    sandbox: Sandbox, job: Job, serve: Serve, settings: Settings
) -> None:
    """Drift of every kind. Foreign records stay, and extra ones stay unless `--delete-extra` is given."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    open_shop(sandbox, 18, 40, rng)
    sync_all(serve(SYNC_CONFIG=""), sandbox)
    whole = klaviyo_records(sandbox)
    damage = Damage(rng, sandbox)
    damage.do_all()
    damaged = klaviyo_records(sandbox)
    compare = reconcile_job(job)
    environment = {"SYNC_CONFIG": reconcile_config(job.folder)}

    sandbox.klaviyo.forget_requests()
    reported = compare.run(*COMPARED, **environment)
    assert list(damage.problems(reported.report)) == [], f"seed {seed}"
    assert writes(sandbox) == []
    assert klaviyo_records(sandbox) == damaged

    fixed = compare.run(*COMPARED, "--fix", **environment)
    assert list(damage.problems(fixed.report)) == [], f"seed {seed}"
    assert compare.error_lines() == [], f"seed {seed}"
    left = klaviyo_records(sandbox)
    extra = {kind: {*damage.expected[kind].extra} for kind in ("categories", "items", "variants")}
    foreign = {"categories": {"someone-s"}, "items": {"someone-s"}, "variants": {"of someone", "of one deleted"}}
    for kind, of_kind in foreign.items():
        assert {own for own in left[kind] if own not in whole[kind]} == of_kind | extra[kind], f"seed {seed}"
        assert {own: one for own, one in left[kind].items() if own in whole[kind]} == whole[kind], f"seed {seed}"
    assert left["profiles"].pop("nobody")
    assert left["profiles"] == whole["profiles"], f"seed {seed}"

    cleaned = compare.run(*COMPARED, "--fix", "--delete-extra", "--max-delete", "50%", **environment)
    clean = klaviyo_records(sandbox)
    for kind, of_kind in (("categories", {"someone-s"}), ("items", {"someone-s"}), ("variants", {"of someone"})):
        assert {own for own in clean[kind] if own not in whole[kind]} == of_kind, f"seed {seed}"
    assert cleaned.report["kinds"]["items"]["mended"] == 1
    assert [line for line in catalog_problems(sandbox, settings) if "someone" not in line] == [], f"seed {seed}"

    again = compare.run(*COMPARED, **environment)
    assert (again.report["drift"], again.stop_reasons) == (0, ""), f"seed {seed}"
