"""Looking for drift: the report names exactly what is wrong, and mending is the live handlers' work."""

import random

import pytest

from commands.processes import Sandbox
from core.settings import Settings
from tests.functional.backfilling import Job, holdings
from tests.functional.comparing import comparison, config_of, make_true, open_shop, writes
from tests.functional.conftest import Serve
from tests.functional.damage import Damage
from tests.functional.expected_state import catalog_problems

COMPARED = ("--only", "categories", "--only", "items", "--only", "variants", "--only", "profiles")


@pytest.mark.timeout(240)
def test_random_damage_is_named_exactly_and_mended(
    sandbox: Sandbox, job: Job, serve: Serve, settings: Settings
) -> None:
    """Of every kind; what is not ours stays, and so does what the shop does not have, unless it is to be deleted."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    open_shop(sandbox, 18, 40, rng)
    make_true(serve(SYNC_CONFIG=""), sandbox)
    whole = holdings(sandbox)
    damage = Damage(rng, sandbox)
    damage.do_all()
    damaged = holdings(sandbox)
    compare = comparison(job)
    told = {"SYNC_CONFIG": config_of(job.folder)}

    sandbox.klaviyo.forget_requests()
    reported = compare.run(*COMPARED, **told)
    assert list(damage.problems(reported.report)) == [], f"seed {seed}"
    assert writes(sandbox) == []
    assert holdings(sandbox) == damaged

    mended = compare.run(*COMPARED, "--fix", **told)
    assert list(damage.problems(mended.report)) == [], f"seed {seed}"
    assert compare.failed() == [], f"seed {seed}"
    left = holdings(sandbox)
    extra = {kind: {*damage.expected[kind].extra} for kind in ("categories", "items", "variants")}
    foreign = {"categories": {"someone-s"}, "items": {"someone-s"}, "variants": {"of someone", "of one gone"}}
    for kind, of_kind in foreign.items():
        assert {own for own in left[kind] if own not in whole[kind]} == of_kind | extra[kind], f"seed {seed}"
        assert {own: one for own, one in left[kind].items() if own in whole[kind]} == whole[kind], f"seed {seed}"
    assert left["profiles"].pop("nobody")
    assert left["profiles"] == whole["profiles"], f"seed {seed}"

    cleaned = compare.run(*COMPARED, "--fix", "--delete-extra", "--max-delete", "50%", **told)
    clean = holdings(sandbox)
    for kind, of_kind in (("categories", {"someone-s"}), ("items", {"someone-s"}), ("variants", {"of someone"})):
        assert {own for own in clean[kind] if own not in whole[kind]} == of_kind, f"seed {seed}"
    assert cleaned.report["kinds"]["items"]["mended"] == 1
    assert [line for line in catalog_problems(sandbox, settings) if "someone" not in line] == [], f"seed {seed}"

    again = compare.run(*COMPARED, **told)
    assert (again.report["drift"], again.said) == (0, ""), f"seed {seed}"
