"""The file with the settings of real accounts, for commands that work on these: `--env-file`, by default `./.env`.

One dialect for `manage.py`, `deploy.sh`, Docker and systemd: `NAME=value` a line, the value as it is or in quotes, with
nothing expanded. The function itself never reads such a file.
"""

import os
import re
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import click
from dotenv.parser import parse_stream

DEFAULT = Path(".env")

_QUOTED_AS_IT_IS = re.compile(r'\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*"(.*)"\s*')
"""JSON in double quotes whose own quotes are not escaped, which no parser of such files takes."""


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
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.ClickException(f"{file} is not UTF-8") from None
    return dict(_settings(file, text))


def _settings(file: Path, text: str) -> Iterator[tuple[str, str]]:
    for binding in parse_stream(StringIO(text)):
        if not binding.error and binding.key and binding.value is not None:
            yield binding.key, binding.value
        elif found := _QUOTED_AS_IT_IS.fullmatch(binding.original.string):
            yield found[1], found[2]
        elif binding.error or binding.key:
            blank = len(binding.original.string) - len(binding.original.string.lstrip())
            line = binding.original.line + binding.original.string[:blank].count("\n")
            raise click.ClickException(
                f"{file}, line {line}: it is not NAME=value, or a quote is not closed; "
                "a value with spaces or braces goes in single quotes"
            )


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
