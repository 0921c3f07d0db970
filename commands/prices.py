"""`manage.py prices due`: run from a terminal the job that copies products whose price has begun or ended."""

import click

from commands.env_file import env_file_parser, reads_env_file
from commands.outcome_words import counted
from commands.run_job import run_job
from jobs.outcome import Outcome
from jobs.prices_due import copy_due, parse_options

_PROGRAM = "python3 manage.py prices"


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    short_help="Copy products with a price that has begun or ended.",
)
@reads_env_file
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def prices(arguments: tuple[str, ...]) -> None:
    """Copy products with a price that has begun or ended."""
    run_job(
        "prices",
        arguments,
        lambda given, rules: parse_options(given, rules.reconcile, _PROGRAM, parents=[env_file_parser()]),
        copy_due,
        _print_report,
    )


def _print_report(outcome: Outcome) -> None:
    report = outcome.report
    if "products" in report:
        click.echo(
            f"{counted(report['products'], 'product')} with a price that began or ended since {report['since']}:"
            f" {report.get('embedded', 0)} with embedded, {report.get('standalone', 0)} with standalone prices;"
            f" {report['failed']} failed, {report['seconds']:g} s."
        )
