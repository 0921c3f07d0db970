"""Generate docs/mapping.md: `python -m commands.mapping_page > docs/mapping.md`.

The example values come from mapping the samples, so the page shows what the code does.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from commands.dry_run import dry_run_services
from commands.klaviyo_recorder import Write
from core.notification import Envelope
from pipeline import settle
from sandbox.samples import SAMPLES

_MAX_LENGTH = 90
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

How commercetools data becomes Klaviyo data. [messages.md](messages.md) says which message does what. `python -m commands.mapping_page`
generates this page from the code. The docstrings in `mappers/` have the full rules; [`sync.toml`](../sync.toml) has the names and options.
"""

_RULES = """## Rules

- **Localized text**: the text in `PREFERRED_LOCALE`, else in its language, else in another region of that language, else the first
  one. Blank texts are skipped.
- **Money**: in major units, as exact as in commercetools. A value always comes with its currency.
- **Price**: a price counts if it is valid now, is in `PREFERRED_CURRENCY`, and has no country, channel or customer group other than
  those in `[price]`. The most specific one wins: customer group first, then channel, then country. If `[price] country` is not set, a
  price without a country wins over one with a country. Among equals, a price with dates wins. Prices with a `recurrencePolicy` are for
  recurring orders and are never shown.
- **Discounts**: the discounted price is shown (`[price] discounted`). The price before the discount is in `custom_metadata`, under the
  name in `[price] compare_at`. `[price] tiers` adds a variant's tiers.
- **Standalone prices**: read by SKU for a product whose `priceMode` is Standalone (`[price] standalone`). A price message updates price
  and metadata of the variant with its SKU. It also updates the item if the item's price comes from that variant: the item has the
  price of its first variant that has one.
- **Updates**: an item or variant is updated only if it differs from Klaviyo's. A metadata key that this package no longer sends counts
  as a difference. `custom_metadata` is then sent as a whole, with `null` for such keys: Klaviyo does not document whether it merges.
- **Stock**: the available quantity in the SKU's inventory entries, summed over the channels in `[inventory] channel`. If none is
  configured, the entry without a channel counts, else all channels. Without any entry the quantity is 0 and `inventory_policy` 2, so
  that Klaviyo does not hide the variant as sold out.
- **Whose event it is**: the order's customer, identified by `external_id` and the current e-mail, both read when the event is sent. If
  the customer has been deleted, nothing is sent. A guest is identified by the order's e-mail, with name, location and language from
  the order unless a customer has that e-mail. If a customer registers with it while the event is sent, the customer's profile is
  copied afterwards.
- **Value of an order**: what the customer pays, `taxedPrice.totalGross`, else `totalPrice` (`[order] value`).
- **Shipments and returns**: see [flows.md](flows.md) for their metrics and properties. If only some units of a line are shipped or
  returned, their value is their share of its `totalPrice`, rounded half up. A parcel that lists no items has those of its delivery.
  Lines that have since been removed from the order are left out. A return is identified by its tracking number or date, and its items
  by key, else by line and quantity.
- **Old events**: an event older than `[events] flow_max_age` seconds is sent with `backfill` and starts no flow. The samples below are
  that old.
- **Discount codes**: as the shopper typed them. Codes that can't be read are left out.
- **Images**: a line item without an image gets the product's first. Characters that a URL can't hold are percent-encoded.
- **Descriptions**: sent unchanged, HTML included.
- **Missing values**: left out, so they don't clear what Klaviyo learned elsewhere. `[customer] clear` lists exceptions.
- **Klaviyo's limits**: what exceeds them is cut. In an event the order's raw fields are cut first, their deepest levels before the
  rest; the fields below are shortened only when no raw field is left. In a profile and in `custom_metadata` the largest values are
  dropped first. `cuts` in the log line names what was cut.
"""


def page() -> str:
    """The page, as Markdown."""
    return "\n".join([_HEAD, _RULES, *_examples()]).rstrip() + "\n"


def _examples() -> Iterator[str]:
    with dry_run_services() as (services, calls):
        for title, file, path, number in _EXAMPLES:
            calls.forget()
            settle(Envelope(_without_version(file)), services)
            writes = sorted((write for write in calls.writes if write.path == path), key=_sort_key)
            yield f"## {title}\n"
            yield f"From [`samples/{file}`](../samples/{file}), `{writes[number].method} {path}`:\n"
            yield "| field | example |"
            yield "|---|---|"
            for name, value in _fields(writes[number].body or {}):
                text = json.dumps(value, ensure_ascii=False)
                shown = text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"
                yield f"| `{name}` | `{shown.replace('|', '¦')}` |"
            yield ""


def _without_version(file: str) -> bytes:
    """A sample without its version. The documents have the state before the first sample, so their versions are older."""
    sample = json.loads((SAMPLES / file).read_bytes())
    return json.dumps({name: value for name, value in sample.items() if name != "resourceVersion"}).encode()


def _sort_key(write: Write) -> tuple[bool, str]:
    """Sort key: Placed Order before its Ordered Products, and a fixed order for parallel writes."""
    text = json.dumps(write.body, sort_keys=True)
    return "Ordered Product" in text, text


def _fields(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    data = body["data"]
    for name, value in data["attributes"].items():
        if name == "properties" and "metric" in data["attributes"]:
            # Show only Klaviyo's schema fields, which start with a capital, not the order's raw fields.
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
