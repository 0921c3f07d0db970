r"""The file with the settings of real accounts, for commands that work on these: `--env-file`, by default `./.env`.

One dialect for `manage.py` and `deploy.sh` (`read_env_file`): `NAME=value` a line, the value as it is or in quotes, and
nothing expanded. In double quotes `\"` is a quote and `\\` a backslash. Where quotes inside are not escaped at all, as
around JSON, every character counts. In single quotes Docker, systemd and shells read the same. The function itself
never reads such a file.
"""

import argparse
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

DEFAULT = Path(".env")

_BLANK = re.compile(r"\s*(#.*)?", re.ASCII)
_SETTING = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=(.*)", re.ASCII)
_IN_SINGLE_QUOTES = re.compile(r"'([^']*)'\s*(?:#.*)?", re.ASCII)
_IN_DOUBLE_QUOTES = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?', re.ASCII)
_WITH_QUOTES_INSIDE = re.compile(r'"(.*)"\s*(?:#[^"]*)?', re.ASCII)
_COMMENT = re.compile(r"\s+#.*", re.ASCII)
_ESCAPED = re.compile(r'\\(["\\])')


def reads_env_file(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--env-file`: while the command runs, the file's settings stand in the environment."""
    return click.option(
        "--env-file",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="ENV_FILE",
        show_envvar=True,
        is_eager=True,  # other options take their defaults from the environment
        expose_value=False,
        callback=_put_into_environment,
        metavar="FILE",
        help="Settings that the environment does not have.  [default: .env, if it is there]",
    )(command)


def settings_in(file: Path) -> dict[str, str]:
    """The settings of a file by name. Raises click.ClickException that names file and line, and shows no value."""
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
            raise click.ClickException(f"{file}, line {number}: it is not NAME=value")
        value = _value(setting[2])
        if value is None:
            raise click.ClickException(
                f"{file}, line {number}: a quote is not closed, or something stands behind it; "
                "a value with spaces or braces goes in single quotes"
            )
        yield setting[1], value


def _value(written: str) -> str | None:
    """A value without quotes, comment and blanks around it; None if its quotes make no sense."""
    stripped = written.strip()
    if not stripped.startswith(("'", '"')):
        return _COMMENT.sub("", written).strip()
    if found := _IN_DOUBLE_QUOTES.fullmatch(stripped):
        return _ESCAPED.sub(r"\1", found[1])
    found = _IN_SINGLE_QUOTES.fullmatch(stripped) or _WITH_QUOTES_INSIDE.fullmatch(stripped)
    return found[1] if found else None


def env_file_parser() -> argparse.ArgumentParser:
    """The same option for the help of a job's own parser: click has read it by then."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--env-file", metavar="FILE", help="settings that the environment does not have (ENV_FILE, else"
        " .env, if it is there)")  # fmt: skip
    return parser


def _put_into_environment(context: click.Context, _parameter: click.Parameter, file: Path | None) -> None:
    if file is None and not DEFAULT.exists():
        return
    added = {
        name: value for name, value in settings_in(file or DEFAULT).items() if name not in os.environ
    }  # also what is set to nothing there: that is how a setting is left out
    os.environ.update(added)

    def take_out() -> None:
        for name in added:
            os.environ.pop(name, None)

    # The own context is not closed when another option is wrong.
    context.find_root().call_on_close(take_out)
