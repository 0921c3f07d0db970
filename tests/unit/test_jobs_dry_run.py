"""The hours that a dry run estimates, and the table of hours in docs/backfill.md."""

import re
from collections import Counter
from pathlib import Path

import pytest

from jobs.estimate import PassEstimate
from jobs.passes import ALL

PAGE = Path(__file__).parents[2] / "docs" / "backfill.md"
ROWS = re.findall(
    r"^\| ([\d,]+) orders, ([\d,]+) customers, ([\d,]+) products \| (.+?) \| (.+?) \| (.+?) \|$",
    PAGE.read_text(encoding="utf-8"),
    re.MULTILINE,
)

RECORD_LIMITS = {one.name: one.bulk.record_limits if one.bulk else None for one in ALL}


def test_the_table_has_rows() -> None:
    """Otherwise the next test would check nothing."""
    assert len(ROWS) == 3


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_documented_hours_are_those_of_a_dry_run(row: tuple[str, ...]) -> None:
    """The table assumes half of Klaviyo's limits, three line items (four events) an order, and five variants a product.

    Bulk jobs process 2,000 items and variants a minute, or 4,000 profiles.
    """
    orders, customers, products = (int(text.replace(",", "")) for text in row[:3])
    writes = {
        "orders": {"create_event": 4 * orders},
        "customers": {"create_or_update_profile": customers},
        "products": {"create_catalog_item": products, "create_catalog_variant": 5 * products},
    }
    estimates = [PassEstimate(writes=Counter(writes[name]), record_limits=RECORD_LIMITS[name]) for name in writes]
    assert [_formatted(estimate.hours(0.5)) for estimate in estimates] == list(row[3:])


def _formatted(hours: float) -> str:
    return f"{hours:.1f} h" if hours > 1 / 3 else f"{hours * 60:.0f} min"


def test_bulk_jobs_are_estimated_from_a_hundred_records() -> None:
    """Fewer items and variants are written one by one. From a hundred on, the faster of the two ways counts."""
    few, more = (Counter(create_catalog_item=9, create_catalog_variant=variants) for variants in (90, 91))
    record_limits = RECORD_LIMITS["products"]
    assert PassEstimate(writes=few, record_limits=record_limits).hours(0.01) == 90 / 7.5 / 60
    assert PassEstimate(writes=more, record_limits=record_limits).hours(0.01) == 1 / 60
    assert PassEstimate(writes=more, record_limits=record_limits).hours(1.0) == 91 / 750 / 60
    assert PassEstimate(writes=more).hours(0.01) == 91 / 7.5 / 60
