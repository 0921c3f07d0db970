r"""The option `--env-file`: a file with the settings of real accounts, `./.env` by default.

`manage.py` and `deploy.sh` (`read_env_file`) parse it the same way. In `manage.py` environment variables take
precedence over the file; in `deploy.sh` the file takes precedence over them.

Each line is `NAME=value`; the value may be quoted, and nothing is expanded. In double quotes `\"` is a quote and `\\` a
backslash, unless the value holds unescaped double quotes, as JSON does: then every character is literal. Docker,
systemd and shells agree on single quotes, so prefer those. The function itself never reads such a file.
"""

import argparse
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

DEFAULT_FILE = Path(".env")

_BLANK = re.compile(r"\s*(#.*)?", re.ASCII)
_SETTING = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=(.*)", re.ASCII)
_IN_SINGLE_QUOTES = re.compile(r"'([^']*)'\s*(?:#.*)?", re.ASCII)
_IN_DOUBLE_QUOTES = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?', re.ASCII)
_WITH_QUOTES_INSIDE = re.compile(r'"(.*)"\s*(?:#[^"]*)?', re.ASCII)
_COMMENT = re.compile(r"\s+#.*", re.ASCII)
_ESCAPED = re.compile(r'\\(["\\])')


def reads_env_file(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option `--env-file` to a command. The file's settings are in the environment while the command runs."""
    return click.option(
        "--env-file",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="ENV_FILE",
        show_envvar=True,
        is_eager=True,  # other options take their defaults from the environment
        expose_value=False,
        callback=_put_into_environment,
        metavar="FILE",
        help="Read settings from FILE; environment variables take precedence.  [default: .env, if it exists]",
    )(command)


def settings_in(file: Path) -> dict[str, str]:
    """The settings in a file, by name. Raises click.ClickException, which names file and line and shows no value."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.ClickException(f"{file} is not UTF-8") from None
    return dict(_settings(file, text))


def _settings(file: Path, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if _BLANK.fullmatch(line):
            continue
        setting = _SETTING.fullmatch(line.removesuffix("\r"))
        if not setting:
            raise click.ClickException(f"{file}, line {number}: expected NAME=value")
        value = _value(setting[2])
        if value is None:
            raise click.ClickException(
                f"{file}, line {number}: a quote is not closed, or text follows the closing quote. "
                "Put a value with spaces or braces in single quotes."
            )
        yield setting[1], value


def _value(written: str) -> str | None:
    """The value without quotes, comment and surrounding blanks; None if its quotes are malformed."""
    stripped = written.strip()
    if not stripped.startswith(("'", '"')):
        return _COMMENT.sub("", written).strip()
    if found := _IN_DOUBLE_QUOTES.fullmatch(stripped):
        return _ESCAPED.sub(r"\1", found[1])
    found = _IN_SINGLE_QUOTES.fullmatch(stripped) or _WITH_QUOTES_INSIDE.fullmatch(stripped)
    return found[1] if found else None


def env_file_parser() -> argparse.ArgumentParser:
    """The same option for the help of a job's own parser. click has already read it."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--env-file", metavar="FILE", help="read settings from FILE; environment variables"
        " take precedence (default: ENV_FILE, else .env, if it exists)")  # fmt: skip
    return parser


def _put_into_environment(context: click.Context, _parameter: click.Parameter, file: Path | None) -> None:
    if file is None and not DEFAULT_FILE.exists():
        return
    added = {
        name: value for name, value in settings_in(file or DEFAULT_FILE).items() if name not in os.environ
    }  # an empty variable in the environment also wins: that is how to leave out a setting of the file
    os.environ.update(added)

    def remove_added() -> None:
        for name in added:
            os.environ.pop(name, None)

    # On the root context: the command's own is not closed when another option is wrong.
    context.find_root().call_on_close(remove_added)
