"""Makes docs/mapping.md: `python -m commands.mapping_page > docs/mapping.md`.

What is consumed comes from the registry, and the values from mapping the samples, so the page shows what the code does.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

import handlers  # noqa: F401 - registers every handler
from commands.dry_run import dry_run_services
from commands.klaviyo_recorder import Write
from core.notification import Envelope
from handlers.registry import registrations
from pipeline import settle
from sandbox.samples import SAMPLES

_LONGEST = 90
_EXAMPLES = (
    ("Customer to profile", "13-customer-created.json", "/api/profile-import", 0),
    ("Order to Placed Order", "16-order-created.json", "/api/events", 0),
    ("Line item to Ordered Product", "16-order-created.json", "/api/events", 1),
    ("Refund to Refunded Order", "31-payment-refunded.json", "/api/events", 0),
    ("Parcel to Confirmed Shipment", "78-parcel-added-with-tracking.json", "/api/events", 0),
    ("Shipment state to Shipped Order", "80-order-shipped.json", "/api/events", 0),
    ("Return to Requested Return", "84-return-info-added.json", "/api/events", 0),
    ("Category to catalog category", "04-category-created-handbags.json", "/api/catalog-categories", 2),
    ("Product to catalog item", "05-product-published-tote.json", "/api/catalog-items", 0),
    ("Variant to catalog variant", "05-product-published-tote.json", "/api/catalog-variants", 0),
)

_HEAD = """# Mapping

What becomes of what. This page is made by `python -m commands.mapping_page`; the rules stand in the docstrings of
`mappers/`, one file a body, and the names and choices in [`sync.toml`](../sync.toml).
"""

_RULES = """## Rules

- **Localized text**: `PREFERRED_LOCALE` exactly, else its language, else another region of that language, else the first
  that is not blank.
- **Money**: in major units, as exact as commercetools has it; a value always comes with its currency.
- **Price**: in `PREFERRED_CURRENCY`, valid now, for no country, channel or customer group but those of `[price]`; the most specific
  wins: group, then channel, then country. With no country set a price without country comes first, one with a country only if there
  is no other. Of equals one with dates wins over one without. Prices with a `recurrencePolicy` are for subscriptions, and not shown.
- **Discounts**: the discounted value is shown (`[price] discounted`); the value before it is in `custom_metadata`, under
  `[price] compare_at`. `[price] tiers` adds a variant's tiers.
- **Standalone prices**: read by SKU where a product's `priceMode` is Standalone (`[price] standalone`). A price message writes
  price and metadata of its SKU's variant, and of the item where no variant before it has a price.
- **What is written**: what differs of the item and of its variants. A key of ours in `custom_metadata` that is no longer wanted is a
  difference, too; the metadata is written as a whole, a key that is to go as `null` (whether Klaviyo merges is unverified).
- **Stock**: what the inventory entries of the SKU have available in the channels of `[inventory] channel`; with none configured
  the entry without channel, else the sum over all channels. No such entry: quantity 0 and `inventory_policy` 2, so that the
  variant is not hidden as sold out.
- **Whose event it is**: the order's customer, read when the event is sent: `external_id` and the e-mail of today. A guest: the order's e-mail,
  with name, place and language of the order unless a customer has that e-mail; a customer who registers while the event is sent is copied
  afterwards. Of a customer who is gone nothing is sent.
- **What an order is worth**: what the customer pays, `taxedPrice.totalGross`, else `totalPrice` (`[order] value`).
- **Shipments and returns**: [flows.md](flows.md) has their metrics and properties. What some units of a line are worth is their share of its
  `totalPrice`, rounded half up. A parcel that does not say what is in it has the items of its delivery; lines that an edit of the order
  took away are left out. A return is known by its tracking number or date and by its lines and quantities (or the items' keys).
- **Old events**: what happened more than `[events] flow_max_age` seconds ago is sent with `backfill`, and starts no flow.
- **Codes and images**: a discount code as the shopper typed it, one that can't be read is left out; a line item without image has the
  product's first; addresses of images are percent-encoded where they hold what a URL can't.
- **Descriptions** go out as they are, HTML included.
- **Absent values** are left out, so they don't clear what Klaviyo learned elsewhere; `[customer] clear` lists exceptions.
- **Klaviyo's limits**: what exceeds them is cut. In an event the order's raw fields are cut first, their deepest levels before the
  rest; the fields below are shortened only when no raw field is left. In a profile and in `custom_metadata` the largest values are
  dropped first. `cuts` in the log line names what was cut.
"""


def page() -> str:
    """The page, as Markdown."""
    return "\n".join([_HEAD, *_messages(), "", _RULES, *_examples()]).rstrip() + "\n"


def _messages() -> Iterator[str]:
    yield "## Messages\n"
    yield "| resource | type | what is done |"
    yield "|---|---|---|"
    for one in sorted(registrations(), key=lambda one: (one.resource_type, one.type)):
        done = (one.handler.__doc__ or "").strip().splitlines()[0]
        asked = "" if one.subscribe else " (taken when it comes; commercetools is not asked for it)"
        condition = f" Only with {one.when.name}." if one.when else ""
        yield f"| {one.resource_type} | `{one.type}` | {done}{condition}{asked} |"


def _examples() -> Iterator[str]:
    with dry_run_services() as (services, calls):
        for title, file, path, number in _EXAMPLES:
            calls.forget()
            settle(Envelope(_told(file)), services)
            writes = sorted((write for write in calls.writes if write.path == path), key=_order)
            yield f"## {title}\n"
            yield f"From [`samples/{file}`](../samples/{file}), `{writes[number].method} {path}`:\n"
            yield "| field | example |"
            yield "|---|---|"
            for name, value in _fields(writes[number].body or {}):
                text = json.dumps(value, ensure_ascii=False)
                shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
                yield f"| `{name}` | `{shown.replace('|', '¦')}` |"
            yield ""


def _told(file: str) -> bytes:
    """A sample without its version: the documents are those of before the first sample."""
    sample = json.loads((SAMPLES / file).read_bytes())
    return json.dumps({name: value for name, value in sample.items() if name != "resourceVersion"}).encode()


def _order(write: Write) -> tuple[bool, str]:
    """Placed Order before its Ordered Products; what is written in parallel in a fixed order."""
    text = json.dumps(write.body, sort_keys=True)
    return "Ordered Product" in text, text


def _fields(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    data = body["data"]
    for name, value in data["attributes"].items():
        if name == "properties" and "metric" in data["attributes"]:
            # The order's own fields stand beside Klaviyo's schema fields, which begin with a capital.
            yield from ((f"properties.{own}", one) for own, one in value.items() if own[0].isupper())
        elif name in ("metric", "profile"):
            yield from ((f"{name}.{own}", one) for own, one in value["data"]["attributes"].items())
        elif isinstance(value, dict):
            yield from ((f"{name}.{own}", one) for own, one in value.items())
        else:
            yield name, value
    for name, relationship in data.get("relationships", {}).items():
        yield f"relationships.{name}", relationship["data"]


if __name__ == "__main__":
    click.echo(page(), nl=False)
