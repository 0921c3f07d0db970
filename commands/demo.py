"""`manage.py demo`: every sample through the function, against the sandbox."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from commands.running import Function, Sandbox, running_function, running_sandbox
from sandbox.samples import DOCUMENTS, ENVIRONMENT, Sample, samples

_ACKNOWLEDGED = 204
_COLOURS = {"synced": "green", "ignored": "yellow", "retried": "red", "dead-lettered": "red"}
_WIDTH_IN_A_PIPE = 140


@click.command(epilog="Example:  python manage.py demo --serve")
@click.option("--serve", "is_served", is_flag=True, help="Serve a page that shows what goes through, until Ctrl-C.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Where the page is served on this machine; 0: any port that is free.",
)
def demo(port: int, *, is_served: bool) -> None:
    """Send every sample through the function, against stand-ins for both backends.

    Starts the sandbox and the function, delivers the samples as Pub/Sub pushes, and shows what each one read and wrote
    and what Klaviyo holds at the end. Exits with 1 if a sample did not have its effect. Needs no account, no network.

    With --serve nothing is sent by itself: the page has a button for each sample, shows what commercetools said beside
    what Klaviyo was asked, and what Klaviyo holds.
    """
    if is_served:
        from commands.page.serving import serve  # noqa: PLC0415 - flask, for whom it concerns

        serve(port)
        return
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_IN_A_PIPE)
    started = time.monotonic()
    table = Table("message", "outcome", "read", "written", title="What was delivered")
    table.add_column("ms", justify="right")
    problems: list[str] = []
    everything = samples()
    with running_sandbox(DOCUMENTS) as sandbox, running_function({**sandbox.environment, **ENVIRONMENT}) as function:
        for sample in track(everything, "Delivering the samples", console=console, transient=True):
            problems += _deliver(sample, sandbox, function, table)
        console.print(table)
        console.print(_holdings(sandbox.klaviyo.state()))
    for problem in problems:
        console.print(f"[red]x[/] {problem}", soft_wrap=True, highlight=False)
    if problems:
        raise click.ClickException(f"{len(problems)} expectations of {len(everything)} samples do not hold.")
    seconds = time.monotonic() - started
    console.print(f"[green]All {len(everything)} samples had their effect[/], in {seconds:.1f} s.", highlight=False)


def _deliver(sample: Sample, sandbox: Sandbox, function: Function, table: Table) -> list[str]:
    """Send one sample and add its row; what did not come about as it should."""
    sample.prepare(sandbox.commercetools)
    sandbox.commercetools.forget_requests()
    sandbox.klaviyo.forget_requests()
    status = function.push(sample.data, sample.file)
    line = function.outcome(sample.file)
    read = sandbox.commercetools.requests(kind="api")
    asked = sandbox.klaviyo.requests(kind="api")
    colour = _COLOURS[line["outcome"]]
    reason = f" [dim]{line['reason']}[/]" if "reason" in line else ""
    table.add_row(
        sample.name,
        f"[{colour}]{line['outcome']}[/]{reason}",
        _operations([*read, *(request for request in asked if request["method"] == "GET")]),
        _operations(request for request in asked if request["method"] != "GET"),
        f"{line['milliseconds']:.0f}",
    )
    problems = sample.problems(sandbox.klaviyo.state())
    if status != _ACKNOWLEDGED or line["outcome"] != sample.outcome:
        problems.append(f"was {line['outcome']} (HTTP {status}), not {sample.outcome}")
    if len(read) > sample.reads or len(asked) > sample.writes:
        problems.append(
            f"cost {len(read)} + {len(asked)} calls, more than its budget of {sample.reads} + {sample.writes}"
        )
    return [f"{sample.file}: {problem}" for problem in problems]


def _operations(requests: Iterable[Mapping[str, Any]]) -> str:
    """Names of the calls, each once, with how often."""
    counts = Counter(request["operation"] for request in requests)
    return "\n".join(name if count == 1 else f"{name} [dim]x{count}[/]" for name, count in counts.items())


def _holdings(state: Mapping[str, Any]) -> Table:
    """What Klaviyo holds, a line a thing."""
    table = Table("kind", "what", "details", title="What Klaviyo holds now")
    for profile in state["profiles"]:
        name = " ".join(filter(None, (profile.get("first_name"), profile.get("last_name"))))
        table.add_row(
            "profile", profile.get("email") or profile.get("external_id"), f"{name}, {profile['events']} events"
        )
    table.add_section()
    for metric, count in Counter(event["metric"] for event in state["events"]).items():
        totals: Counter[str] = Counter()
        for event in state["events"]:
            if event["metric"] == metric:
                totals[event["value_currency"] or ""] += event["value"] or 0
        table.add_row(
            "events", metric, f"{count}, " + ", ".join(f"{total:,.2f} {code}" for code, total in totals.items())
        )
    table.add_section()
    for name in sorted(state["categories"].values()):
        table.add_row("category", name, "")
    table.add_section()
    for own_id, item in state["items"].items():
        table.add_row(
            "item", item["title"], f"{item.get('price') or 'no price'}, in {len(item['categories'])} categories"
        )
        for sku, variant in state["variants"].items():
            if variant["item"] == own_id:
                stock = (
                    f"{variant['inventory_quantity']} in stock" if variant["inventory_policy"] == 1 else "not tracked"
                )
                table.add_row("  variant", sku, f"{variant['price']}, {stock}")
    return table
