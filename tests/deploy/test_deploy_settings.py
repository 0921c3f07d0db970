"""Settings, options and env files of deploy.sh: what reaches the function, and what is refused."""

import hashlib
import re
import shlex
from collections.abc import Callable

import pytest

from commands.processes import ROOT
from tests.deploy.deployment import (
    API_CLIENT,
    AUTH_KEY,
    SECRET_PARTS,
    SETTINGS,
    Cloud,
    visible_text,
)
from tests.env_files import QUOTING_STYLES

TABLE_ROW = re.compile(r"^\| ((?:`[A-Z_]+` ?)+)", re.MULTILINE)
"""A row of docs/settings.md that begins with the names of settings."""


def test_a_topic_is_an_id_or_a_full_name(cloud: Cloud) -> None:
    """TOPIC may be a short id, or a full name as for manage.py. A topic of another project is refused."""
    short = cloud.run("--dry-run", TOPIC="commercetools")
    assert "gcloud pubsub topics create commercetools --project=my-project" in short.out.splitlines()
    assert cloud.run("--dry-run", TOPIC="projects/my-project/topics/commercetools").out == short.out
    other = cloud.run("--dry-run", TOPIC="projects/another/topics/commercetools")
    assert (other.status, other.out) == (2, "")
    assert "TOPIC (must be" in other.err


def test_secrets_from_files(cloud: Cloud) -> None:
    """A secret may come from a file. The newline at the file's end is not part of it."""
    (cloud.work / "client.json").write_text(API_CLIENT + "\n", encoding="utf-8")
    (cloud.work / "key.txt").write_text(AUTH_KEY + "\n", encoding="utf-8")
    settings = {name: value for name, value in SETTINGS.items() if name not in ("CT_API_CLIENT", "KLAVIYO_AUTH_KEY")}
    files = ("--ct-api-client-file", "client.json", "--klaviyo-auth-key-file=key.txt")
    run = cloud.run(*files, settings=settings)
    assert run.status == 0, run.err
    assert (
        run.only_call("secrets versions add klaviyo-sync-klaviyo-auth-key").stdin
        == hashlib.sha256(AUTH_KEY.encode()).hexdigest()
    )
    for secret in SECRET_PARTS:
        assert secret not in visible_text(run)
    assert (
        """printf %s "$(<key.txt)" | gcloud secrets versions add"""
        in cloud.run(*files, "--dry-run", settings=settings).out
    )


def test_settings_from_an_env_file(cloud: Cloud) -> None:
    """--env-file overrides the environment, and flags override both."""
    lines = [f"{name}={shlex.quote(value)}" for name, value in SETTINGS.items()]
    file = cloud.work / ".env"
    file.write_text(
        "\n".join([*lines, "PREFERRED_LOCALE=de-DE", "PREFERRED_CURRENCY=EUR", "PATH=/nowhere"]), encoding="utf-8"
    )
    run = cloud.run("--env-file", ".env", "--preferred-locale=fr-FR", settings={"PREFERRED_CURRENCY": "USD"})
    assert run.status == 0, run.err
    env_vars = run.only_call("functions deploy").env_vars.splitlines()
    assert "PREFERRED_LOCALE: 'fr-FR'" in env_vars
    assert "PREFERRED_CURRENCY: 'EUR'" in env_vars
    for secret in SECRET_PARTS:
        assert secret not in visible_text(run)


@pytest.mark.parametrize("write", QUOTING_STYLES.values(), ids=QUOTING_STYLES)
def test_the_api_client_in_an_env_file(cloud: Cloud, write: Callable[[str], str]) -> None:
    """Quotes, spaces, comments and Windows line endings around the JSON do not become part of the secret."""
    api_client = API_CLIENT.replace("clientId", "client_id")
    text = f"# Mine\r\n\r\nexport CT_API_CLIENT={write(api_client)} \r\nTHREADS=4 # few"
    (cloud.work / ".env").write_text(text, encoding="utf-8", newline="")
    settings = {name: value for name, value in SETTINGS.items() if name != "CT_API_CLIENT"}
    run = cloud.run("--env-file", ".env", settings=settings)
    assert run.status == 0, run.err
    assert (
        run.only_call("secrets versions add klaviyo-sync-ct-api-client").stdin
        == hashlib.sha256(api_client.encode()).hexdigest()
    )
    assert "THREADS: '4'" in run.only_call("functions deploy").env_vars.splitlines()


def test_an_env_file_is_not_run(cloud: Cloud) -> None:
    """Nothing in the file is expanded or executed."""
    (cloud.work / ".env").write_text('PRODUCT_URL_TEMPLATE="https://$(touch ran)/$HOME"\ntouch ran\n', encoding="utf-8")
    run = cloud.run("--env-file", ".env")
    assert (run.status, run.calls) == (2, [])
    assert run.err == "deploy.sh: --env-file: line 2 of .env: expected NAME=value\n"
    assert not (cloud.work / "ran").exists()
    (cloud.work / ".env").write_text('PRODUCT_URL_TEMPLATE="https://$(touch ran)/$HOME"\n', encoding="utf-8")
    env_vars = cloud.run("--env-file", ".env").only_call("functions deploy").env_vars.splitlines()
    assert "PRODUCT_URL_TEMPLATE: 'https://$(touch ran)/$HOME'" in env_vars
    assert not (cloud.work / "ran").exists()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("THREADS=4\nKLAVIYO_AUTH_KEY: s3cr3t-of-klaviyo", "line 2 of .env: expected NAME=value"),
        (
            "KLAVIYO_AUTH_KEY='s3cr3t-of-klaviyo",
            (
                "line 1 of .env: a quote is not closed, or text follows the closing quote. Put a value with spaces or "
                "braces in single quotes."
            ),
        ),
    ],
)
def test_a_wrong_line_of_an_env_file(cloud: Cloud, text: str, error: str) -> None:
    """The error names the file and the line, and shows none of its text."""
    (cloud.work / ".env").write_text(text, encoding="utf-8")
    run = cloud.run("--env-file", ".env")
    assert (run.status, run.calls) == (2, [])
    assert run.err == f"deploy.sh: --env-file: {error}\n"


def test_environment_variables_stay_text(cloud: Cloud) -> None:
    """Values that YAML could take for something else reach the function unchanged."""
    run = cloud.run(
        PREFERRED_LOCALE="no", PRODUCT_URL_TEMPLATE="https://shop.example/it's: #{{sku}}", SKIP_BASE64_ENCODING="1"
    )
    lines = run.only_call("functions deploy").env_vars.splitlines()
    assert lines == [
        "GOOGLE_CLOUD_PROJECT: 'my-project'",
        *(f"{name}: '{SETTINGS[name]}'" for name in ("CT_API_URL", "CT_AUTH_URL", "CT_PROJECT_ID", "CT_SCOPE")),
        "PREFERRED_LOCALE: 'no'",
        "PRODUCT_URL_TEMPLATE: 'https://shop.example/it''s: #{{sku}}'",
        "DEAD_LETTER_TOPIC: 'projects/my-project/topics/klaviyo-sync-dead-letters'",
        "KLAVIYO_LIMIT_SHARE: '0.2000'",
        "SKIP_BASE64_ENCODING: '1'",
        "THREADS: '8'",
    ]


def test_missing_settings_are_one_error(cloud: Cloud) -> None:
    """One line lists every missing setting, before any command runs."""
    run = cloud.run(settings={})
    assert (run.status, run.calls, run.out) == (2, [], "")
    assert run.err == f"deploy.sh: not set: {', '.join(SETTINGS)} (see --help)\n"


def test_wrong_settings_are_one_error(cloud: Cloud) -> None:
    """The same line lists every wrong setting, and shows no value."""
    wrong = {
        "REGION": "here",
        "CT_API_URL": "commercetools",
        "CT_API_CLIENT": "s3cr3t-of-commercetools",
        "KLAVIYO_AUTH_KEY": "two s3cr3t-of-klaviyo",
        "APP_TYPE": "BULK",
        "FUNCTION_TIMEOUT": "600",
        "FUNCTION_CPU": "0.5",
        "DEAD_LETTER_TOPIC": "projects/another/topics/dead",
        "SYNC_CONFIG": "../sync.toml",
        "PREFERRED_LOCALE": "en\nUS",
        "THREADS": "a[$(touch hacked)]",
        "PRODUCT_URL_TEMPLATE": "x\ty",
    }
    run = cloud.run(settings={**SETTINGS, **wrong, "CT_SCOPE": ""})
    assert (run.status, run.calls, run.err.count("\n")) == (2, [], 1)
    assert run.err.startswith("deploy.sh: not set: CT_SCOPE; wrong: ")
    assert set(re.findall(r"([A-Z_]+) \(must", run.err)) == set(wrong)
    assert not any(secret in run.err for secret in SECRET_PARTS)
    assert cloud.leftover_files() == {}


@pytest.mark.parametrize("name", ["CT_API_URL", "CT_AUTH_URL", "KLAVIYO_API_URL"])
@pytest.mark.parametrize(
    "url",
    ["http://shop.example", "http://localhost.example", "http://localhost@shop.example", "http://127.0.0.256",
     "http://localhost:80@shop.example", "http://[::2]", "https://", "https://two words", "ftp://127.0.0.1"],
)  # fmt: skip
def test_http_is_only_for_loopback_hosts(cloud: Cloud, name: str, url: str) -> None:
    """A URL that the function would refuse at its start is refused here, with one line that names the setting."""
    run = cloud.run("--dry-run", settings={**SETTINGS, name: url})
    assert (run.status, run.calls, run.out) == (2, [], "")
    assert run.err == (
        f"deploy.sh: wrong: {name} (must be https://HOST; http:// is for localhost, 127.0.0.1 and [::1] only)"
        " (see --help)\n"
    )


@pytest.mark.parametrize(
    "url",
    ["https://proxy.example/klaviyo/", "http://localhost:8080", "http://127.0.0.1/", "http://127.8.9.254", "http://[::1]:1"],
)  # fmt: skip
def test_accepted_backend_urls(cloud: Cloud, url: str) -> None:
    """Accepted are https to any host and http to loopback hosts, as by the function."""
    run = cloud.run("--dry-run", settings={**SETTINGS, "KLAVIYO_API_URL": url})
    assert run.status == 0, run.err
    assert f"KLAVIYO_API_URL: '{url}'" in run.out


def test_the_examples_secrets_are_not_deployed(cloud: Cloud) -> None:
    """The placeholders of .env.example would end up in Secret Manager, and the function would not start."""
    placeholders = {"CT_API_CLIENT": '{"clientId": "...", "secret": "..."}', "KLAVIYO_AUTH_KEY": "pk_..."}
    run = cloud.run(settings={**SETTINGS, **placeholders})
    assert (run.status, run.calls) == (2, [])
    problems = ", ".join(f"{name} (is still the placeholder from .env.example)" for name in placeholders)
    assert run.err == f"deploy.sh: wrong: {problems} (see --help)\n"


def test_push_settings_are_not_deployed(cloud: Cloud) -> None:
    """A function on Google refuses to start with them. They are ignored, so that a VM's .env works here too."""
    push = {"PUSH_AUDIENCE": "https://sync.example", "PUSH_SERVICE_ACCOUNT": "push@p.iam.gserviceaccount.com"}
    run = cloud.run("--dry-run", settings={**SETTINGS, **push})
    assert run.status == 0, run.err
    assert "PUSH_" not in run.out


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("--klaviyo-auth-key=pk_s3cr3t-of-klaviyo", "a secret is not accepted on the command line"),
        ("--ct-api-client", "a secret is not accepted on the command line"),
        ("--regoin=europe-west1", "--regoin is not an option"),
        ("here", "here is not an option"),
        ("--region", "--region needs a value"),
        ("--env-file=nowhere.env", "nowhere.env can't be read"),
    ],
)
def test_a_wrong_option_ends_the_run(cloud: Cloud, argument: str, error: str) -> None:
    """An option that is unknown, has no value or contains a secret ends the script immediately."""
    run = cloud.run(argument)
    assert (run.status, run.calls, run.err.count("\n")) == (2, [], 1)
    assert error in run.err
    assert "s3cr3t" not in run.err


@pytest.mark.parametrize(
    ("pair", "error"),
    [
        (("--container", "--backfill"), "are separate deployments: run them one after the other"),
        (("--delete", "--backfill"), "--delete deletes everything"),
        (("--container", "--delete"), "--delete deletes everything"),
    ],
)
def test_options_that_exclude_each_other(deployed: Cloud, pair: tuple[str, str], error: str) -> None:
    """The run ends before it deploys only one of the two, or deletes more than was meant."""
    run = deployed.run(*pair, "--yes")
    assert (run.status, run.calls, run.err.count("\n")) == (2, [], 1)
    assert error in run.err


def test_help_names_every_setting(cloud: Cloud) -> None:
    """--help lists every setting of docs/settings.md, every option, and examples."""
    run = cloud.run("--help", settings={})
    assert (run.status, run.err) == (0, "")
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    settings = {name for row in TABLE_ROW.findall(page) for name in re.findall(r"[A-Z_]+", row)}
    assert len(settings) > 10
    for name in [*settings, "CT_SCOPES", "--env-file", "--dry-run", "--delete", "--yes", "Examples:"]:
        assert name in run.out


def test_every_setting_is_a_flag(cloud: Cloud) -> None:
    """Every setting in --help, except the secrets, can be given as a flag."""
    names = re.findall(r"^  ([A-Z][A-Z0-9_]+) ", cloud.run("--help").out, re.MULTILINE)
    assert {"PROJECT_ID", "THREADS", "CT_API_CLIENT_FILE"} <= set(names)
    for name in set(names) - {"CT_API_CLIENT", "KLAVIYO_AUTH_KEY"}:
        assert "needs a value" in cloud.run(f"--{name.lower().replace('_', '-')}").err
