"""deploy.sh, run with a stand-in for gcloud that records every command."""

import hashlib
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from commands.processes import ROOT
from tests.deploy.deployment import (
    ACCOUNTS,
    API_CLIENT,
    AUTH_KEY,
    EVENTARC_SUBSCRIPTION,
    PROJECT_AND_REGION,
    PUBSUB_AGENT,
    RESOURCES,
    SECRET_PARTS,
    SETTINGS,
    Call,
    Cloud,
    Run,
    granted_rights,
    lint_problems,
    printed_commands,
    visible_text,
)
from tests.env_files import QUOTING_STYLES

COMMERCETOOLS = "subscriptions@commercetools-platform.iam.gserviceaccount.com"

CREATION_ORDER = [
    "services enable artifactregistry.googleapis.com",
    "pubsub topics create klaviyo-sync",
    "pubsub topics create klaviyo-sync-dead-letters",
    "pubsub subscriptions create klaviyo-sync-dead-letters",
    "iam service-accounts create klaviyo-sync-runtime",
    "iam service-accounts create klaviyo-sync-trigger",
    "iam service-accounts create klaviyo-sync-build",
    "secrets create klaviyo-sync-ct-api-client",
    "secrets versions add klaviyo-sync-ct-api-client",
    "secrets create klaviyo-sync-klaviyo-auth-key",
    "secrets versions add klaviyo-sync-klaviyo-auth-key",
    "secrets add-iam-policy-binding klaviyo-sync-ct-api-client",
    "pubsub topics add-iam-policy-binding klaviyo-sync",
    "functions deploy klaviyo-sync",
    "functions add-invoker-policy-binding klaviyo-sync",
    "functions describe klaviyo-sync",
    "eventarc triggers describe projects/my-project/locations/europe-west1/triggers/klaviyo-sync-123456",
    "projects describe my-project",
    f"pubsub subscriptions add-iam-policy-binding {EVENTARC_SUBSCRIPTION}",
    f"pubsub subscriptions update {EVENTARC_SUBSCRIPTION}",
]

TABLE_ROW = re.compile(r"^\| ((?:`[A-Z_]+` ?)+)", re.MULTILINE)


def test_everything_is_created_in_order(first_run: tuple[Cloud, Run]) -> None:
    """A first run creates each resource before those that need it, and no others."""
    cloud, run = first_run
    commands = iter(run.commands)
    for expected in CREATION_ORDER:
        assert any(command.startswith(expected) for command in commands), f"{expected}: missing, or too late"
    created = {name for name in cloud.resources() if name.partition("/")[0] not in ("api", "version", "feeds")}
    assert created == RESOURCES
    assert run.out.endswith(
        "== to paste when you are paged:\n"
        "export TOPIC=projects/my-project/topics/klaviyo-sync\n"
        "export DEAD_LETTER_SUBSCRIPTION=projects/my-project/subscriptions/klaviyo-sync-dead-letters\n"
        "export SYNC_SERVICE=klaviyo-sync\n"
        "python3 manage.py status\n"
    )


def test_rights_are_minimal(first_run: tuple[Cloud, Run]) -> None:
    """Each account gets only the roles that it needs, on single resources; only the build's are on the project."""
    _, run = first_run
    assert granted_rights(run) == {
        ("pubsub topics klaviyo-sync-dead-letters", ACCOUNTS["runtime"], "roles/pubsub.publisher"),
        ("secrets klaviyo-sync-ct-api-client", ACCOUNTS["runtime"], "roles/secretmanager.secretAccessor"),
        ("secrets klaviyo-sync-klaviyo-auth-key", ACCOUNTS["runtime"], "roles/secretmanager.secretAccessor"),
        ("pubsub topics klaviyo-sync", COMMERCETOOLS, "roles/pubsub.publisher"),
        ("functions klaviyo-sync", ACCOUNTS["trigger"], "roles/run.invoker"),
        ("pubsub topics klaviyo-sync-dead-letters", PUBSUB_AGENT, "roles/pubsub.publisher"),
        (f"pubsub subscriptions {EVENTARC_SUBSCRIPTION}", PUBSUB_AGENT, "roles/pubsub.subscriber"),
        ("projects my-project", ACCOUNTS["build"], "roles/artifactregistry.writer"),
        ("projects my-project", ACCOUNTS["build"], "roles/logging.logWriter"),
        ("projects my-project", ACCOUNTS["build"], "roles/storage.objectViewer"),
    }


def test_function_flags(first_run: tuple[Cloud, Run]) -> None:
    """The function is private, retries, has a thread per concurrent message, and times out before the ack deadline."""
    _, run = first_run
    call = run.only_call("functions deploy")
    flags = call.flags
    source, env_vars_file = flags.pop("source"), flags.pop("env-vars-file")
    assert Path(source) == ROOT
    assert not Path(env_vars_file).exists()
    assert call.env_vars_mode == "0o600"
    assert flags == {
        "gen2": "",
        "region": "europe-west1",
        "runtime": "python313",
        "entry-point": "sync_event",
        "trigger-topic": "klaviyo-sync",
        "retry": "",
        "service-account": ACCOUNTS["runtime"],
        "trigger-service-account": ACCOUNTS["trigger"],
        "build-service-account": f"projects/my-project/serviceAccounts/{ACCOUNTS['build']}",
        "concurrency": "8",
        "cpu": "1",
        "memory": "512Mi",
        "timeout": "60s",
        "min-instances": "0",
        "max-instances": "5",
        "ingress-settings": "internal-only",
        "no-allow-unauthenticated": "",
        "set-secrets": "CT_API_CLIENT=klaviyo-sync-ct-api-client:latest,"
        "KLAVIYO_AUTH_KEY=klaviyo-sync-klaviyo-auth-key:latest",
        "project": "my-project",
    }
    assert "THREADS: '8'" in call.env_vars.splitlines()


def test_subscription_flags(first_run: tuple[Cloud, Run]) -> None:
    """Eventarc's subscription has backoff, a dead-letter policy and 7 days of retention; dead letters have 31 days."""
    _, run = first_run
    assert run.only_call("pubsub subscriptions update").flags == {
        "dead-letter-topic": "klaviyo-sync-dead-letters",
        "dead-letter-topic-project": "my-project",
        "max-delivery-attempts": "100",
        "min-retry-delay": "10s",
        "max-retry-delay": "600s",
        "ack-deadline": "600",
        "message-retention-duration": "7d",
        "expiration-period": "never",
        "project": "my-project",
    }
    dead_letters = run.only_call("pubsub subscriptions create").flags
    assert dead_letters["message-retention-duration"] == "31d"
    assert dead_letters["expiration-period"] == "never"
    assert dead_letters["topic"] == "klaviyo-sync-dead-letters"


def test_topic_has_two_forms(cloud: Cloud) -> None:
    """TOPIC may be a short id, or a full name as for manage.py. A topic of another project is refused."""
    short = cloud.run("--dry-run", TOPIC="commercetools")
    assert "gcloud pubsub topics create commercetools --project=my-project" in short.out.splitlines()
    assert cloud.run("--dry-run", TOPIC="projects/my-project/topics/commercetools").out == short.out
    other = cloud.run("--dry-run", TOPIC="projects/another/topics/commercetools")
    assert (other.status, other.out) == (2, "")
    assert "TOPIC (must be" in other.err


@pytest.mark.parametrize(("threads", "instances"), [("1", "31"), ("8", "5"), ("16", "3"), ("80", "2")])
def test_instances_follow_from_klaviyos_limits(cloud: Cloud, threads: str, instances: str) -> None:
    """More threads per instance mean fewer instances, because Klaviyo accepts only 3500 events per minute."""
    out = cloud.run("--dry-run", "--threads", threads).out
    assert f"--concurrency={threads} " in out
    assert f"--max-instances={instances} " in out
    assert f"THREADS: '{threads}'" in out
    share = re.search(r"KLAVIYO_LIMIT_SHARE: '(.*)'", out)
    assert share
    assert 0.99 < float(share[1]) * int(instances) <= 1


def test_no_secret_is_visible(first_run: tuple[Cloud, Run]) -> None:
    """Secrets only go through a pipe: no command, environment of a command, output or file contains one."""
    cloud, run = first_run
    for secret in SECRET_PARTS:
        assert secret not in visible_text(run)
    assert cloud.leftover_files() == {}
    sent = {call.words.split()[3]: call.stdin for call in run.calls if call.words.startswith("secrets versions add")}
    assert sent == {
        "klaviyo-sync-ct-api-client": hashlib.sha256(API_CLIENT.encode()).hexdigest(),
        "klaviyo-sync-klaviyo-auth-key": hashlib.sha256(AUTH_KEY.encode()).hexdigest(),
    }


def test_a_trace_shows_no_secret(cloud: Cloud) -> None:
    """Not even under `bash -x`."""
    run = cloud.run("--dry-run", SHELLOPTS="xtrace")
    assert run.status == 0
    for secret in SECRET_PARTS:
        assert secret not in visible_text(run)


def test_second_run_creates_nothing(deployed: Cloud) -> None:
    """A second run finds all resources: it creates nothing and adds no version of a secret."""
    cloud = deployed
    before = cloud.resources()
    second = cloud.run()
    assert second.status == 0, second.err
    assert cloud.resources() == before
    creating = [command for command in second.commands if re.search(r"\b(create|enable|add|delete)\b(?!-)", command)]
    assert creating == []
    assert second.only_call("functions deploy").flags["trigger-topic"] == "klaviyo-sync"
    for secret in SECRET_PARTS:
        assert secret not in visible_text(second)
    assert cloud.leftover_files() == {}


def test_only_a_changed_secret_gets_a_version(deployed: Cloud) -> None:
    """A changed key becomes a new version. The other secret is left alone."""
    run = deployed.run(settings={**SETTINGS, "KLAVIYO_AUTH_KEY": "pk_s3cr3t-of-klaviyo-2"})
    added = [command for command in run.commands if command.startswith("secrets versions add")]
    assert added == ["secrets versions add klaviyo-sync-klaviyo-auth-key"]
    assert run.commands.index(added[0]) < run.commands.index("functions deploy klaviyo-sync"), (
        "the deployment must come later: its new revision reads the new version"
    )


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


def test_environment_is_text(cloud: Cloud) -> None:
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


def test_dry_run_prints_what_a_first_run_does(cloud: Cloud, first_run: tuple[Cloud, Run]) -> None:
    """A dry run prints each command of a first run, in order, on its own line. It runs none and shows no secret."""
    dry = cloud.run("--dry-run", PATH="/usr/bin:/bin")
    assert (dry.status, dry.err, dry.calls) == (0, "", [])
    assert cloud.leftover_files() == {}
    commands = [[word for word in command if "env-vars-file" not in word] for command in printed_commands(dry)]
    assert commands == [[word for word in call.arguments if "env-vars-file" not in word] for call in first_run[1].calls]
    for secret in SECRET_PARTS:
        assert secret not in dry.out


def test_the_printed_script_can_be_run(cloud: Cloud, first_run: tuple[Cloud, Run]) -> None:
    """Run in a shell, the output of a dry run does what deploy.sh does."""
    script = cloud.folder / "pasted.sh"
    script.write_text(cloud.run("--dry-run").out, encoding="utf-8")
    run = cloud.run_printed(script)
    assert [call.words for call in run.calls] == first_run[1].commands
    assert run.only_call("functions deploy").env_vars == first_run[1].only_call("functions deploy").env_vars
    assert [call.stdin for call in run.calls] == [call.stdin for call in first_run[1].calls]


def test_gcloud_accepts_every_command(deployed: Cloud, first_run: tuple[Cloud, Run], tmp_path: Path) -> None:
    """The linter of gcloud accepts every command: of a first run, a second run, and of --delete."""
    deployed.run(
        "--build-service-account", "projects/my-project/serviceAccounts/builder@my-project.iam.gserviceaccount.com"
    )
    deployed.run("--container")
    deployed.run("--container")
    deployed.run(IMAGE="europe-west1-docker.pkg.dev/my-project/sync/klaviyo-sync:1")
    deployed.run("--backfill")
    deployed.run("--delete", "--yes")
    # If the file were missing, the linter would report only that.
    env_vars = tmp_path / "env.yaml"
    env_vars.write_text(first_run[1].only_call("functions deploy").env_vars, encoding="utf-8")
    commands = {
        shlex.join(["gcloud", *_with_env_vars_file(call, env_vars)]): None
        for call in [*first_run[1].calls, *deployed.calls()]
    }
    assert lint_problems(list(commands), tmp_path) == []


def test_the_linter_would_find_a_mistake(first_run: tuple[Cloud, Run], tmp_path: Path) -> None:
    """The test above can fail: the linter finds a misspelt flag."""
    env_vars = tmp_path / "env.yaml"
    env_vars.write_text(first_run[1].only_call("functions deploy").env_vars, encoding="utf-8")
    words = [
        word.replace("--concurrency", "--concurency")
        for word in _with_env_vars_file(first_run[1].only_call("functions deploy"), env_vars)
    ]
    (problem,) = lint_problems([shlex.join(["gcloud", *words])], tmp_path)
    assert "--concurency" in problem["error_message"]


def _with_env_vars_file(call: Call, env_vars: Path) -> list[str]:
    return [f"--env-vars-file={env_vars}" if word.startswith("--env-vars-file=") else word for word in call.arguments]


def test_another_subscription_causes_a_warning(deployed: Cloud) -> None:
    """With two subscriptions every message is processed twice, so the warning names an existing one."""
    (deployed.folder / "state" / "resources" / "feeds" / "klaviyo-sync-push").touch()
    run = deployed.run()
    assert run.status == 0
    assert "warning: topic klaviyo-sync has other subscriptions" in run.err
    assert "projects/my-project/subscriptions/klaviyo-sync-push" in run.err
    assert EVENTARC_SUBSCRIPTION not in run.err


def test_a_grant_to_a_new_account_is_retried(cloud: Cloud) -> None:
    """A new service account takes a while to be known everywhere, so deploy.sh retries the grant."""
    cloud.fail("secrets add-iam-policy-binding", "INVALID_ARGUMENT: Service account x does not exist.", times=2)
    run = cloud.run()
    assert run.status == 0, run.err
    assert run.commands.count("secrets add-iam-policy-binding klaviyo-sync-ct-api-client") == 3


@pytest.mark.parametrize(
    "command",
    ["services list", "pubsub topics describe", "pubsub topics create", "secrets versions add", "functions deploy",
     "eventarc triggers describe", "pubsub subscriptions update"],
)  # fmt: skip
def test_a_failing_command_ends_the_run(cloud: Cloud, command: str) -> None:
    """The run ends with the first command that fails, and shows gcloud's error and the command."""
    cloud.fail(command, "PERMISSION_DENIED: Permission denied on resource (or it may not exist).")
    run = cloud.run()
    assert run.status == 1
    assert "PERMISSION_DENIED" in run.err
    assert f"deploy.sh: failed: gcloud {command}" in run.err
    assert command in run.commands[-1]
    for secret in SECRET_PARTS:
        assert secret not in visible_text(run)
    assert cloud.leftover_files() == {}


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
def test_wrong_options(cloud: Cloud, argument: str, error: str) -> None:
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
    """Together they would skip one deployment, or delete more than was meant."""
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


def test_delete_deletes_everything(deployed: Cloud) -> None:
    """After a yes nothing is left. --delete needs only project and region, and may be run again."""
    deployed.run("--container")
    run = deployed.run("--delete", settings=PROJECT_AND_REGION, answer="y\n")
    assert run.status == 0, run.err
    assert "Delete all of it? [y/N]" in run.out
    for name in ("klaviyo-sync-container", "klaviyo-sync-push", "klaviyo-sync-dead-letters"):
        assert name in run.out
    left = {name for name in deployed.resources() if name.partition("/")[0] not in ("api", "version")}
    assert left == set()
    removed = {call.flags["role"] for call in run.calls if "remove-iam-policy-binding" in call.words}
    assert removed == {"roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer"}
    again = deployed.run("--delete", "--yes", settings=PROJECT_AND_REGION)
    assert again.status == 0, again.err
    assert "[y/N]" not in again.out
    assert not [command for command in again.commands if " delete " in command]


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yellow\n"])
def test_delete_without_a_yes_deletes_nothing(deployed: Cloud, answer: str) -> None:
    """Any answer but a yes deletes nothing."""
    before = deployed.resources()
    run = deployed.run("--delete", settings=PROJECT_AND_REGION, answer=answer)
    assert (run.status, run.calls) == (1, [])
    assert "nothing was deleted" in run.err
    assert deployed.resources() == before


def test_delete_has_a_dry_run(deployed: Cloud) -> None:
    """--delete --dry-run asks nothing, runs nothing, and prints the commands for a complete deployment."""
    deployed.run("--container")
    deployed.run("--backfill")
    dry = deployed.run("--delete", "--dry-run", settings=PROJECT_AND_REGION)
    assert (dry.status, dry.calls, dry.err) == (0, [], "")
    assert "[y/N]" not in dry.out
    assert printed_commands(dry) == [
        list(call.arguments) for call in deployed.run("--delete", "--yes", settings=PROJECT_AND_REGION).calls
    ]


def test_without_gcloud(cloud: Cloud) -> None:
    """Without gcloud one line says where to get it."""
    (cloud.folder / "bin" / "gcloud").unlink()
    for name in ("bash", "dirname", "mktemp", "rm", "tr", "grep", "cat"):
        cloud.add_program(name, f'exec /usr/bin/env -S PATH=/usr/bin:/bin {name} "$@"')
    run = cloud.run(PATH=str(cloud.folder / "bin"))
    assert run.status == 1
    assert run.err.startswith("deploy.sh: gcloud is not installed")
