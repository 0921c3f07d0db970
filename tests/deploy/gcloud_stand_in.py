"""Stand-in for gcloud. It records each call, and stores the resources that it creates, so that a second run finds them.

It imports only the standard library: it runs once per command, without the project's virtual environment.
"""
# ruff: noqa: T201 - it answers on stdout

import hashlib
import json
import os
import sys
from pathlib import Path

STATE = Path(os.environ["GCLOUD_STAND_IN"])
"""A folder with `calls.jsonl`, one file per resource in `resources/`, and in `failure.json` which call has to fail."""

TRIGGER = "projects/{project}/locations/{region}/triggers/{name}-123456"
SUBSCRIPTION = "projects/{project}/subscriptions/eventarc-{region}-{name}-123456-sub-001"
SERVICE = "https://{name}-123456-{region}.a.run.app"
PROJECT_NUMBER = "123456789012"
NEW_PROJECT_APIS = ["bigquery.googleapis.com", "storage.googleapis.com"]


def main(arguments: list[str]) -> None:  # noqa: C901, PLR0912, PLR0915 - one case per command
    """Record the call, then answer as gcloud would."""
    words = [word for word in arguments if not word.startswith("--")]
    flags = dict(word[2:].partition("=")[::2] for word in arguments if word.startswith("--"))
    data = sys.stdin.buffer.read() if flags.get("data-file") == "-" else b""
    _record(arguments, flags, data)
    _fail_if_configured(" ".join(arguments))
    forward = os.environ.get("GCLOUD_FORWARD_PUBSUB")
    if forward and words[0] == "pubsub" and "add-iam-policy-binding" not in words:
        arguments = _for_the_emulator(words, arguments)
        os.execv(forward, [forward, *arguments])  # noqa: S606 - no shell
    match words:
        case ["services", "list"]:
            print("\n".join([*NEW_PROJECT_APIS, *_names("api")]))
        case ["services", "enable", *apis]:
            for api in apis:
                _resource("api", api).touch()
        case ["projects", "describe", _]:
            print(PROJECT_NUMBER)
        case [*_, "add-iam-policy-binding" | "add-invoker-policy-binding" | "remove-iam-policy-binding", _]:
            print("bindings: [...]")
        case ["secrets", "versions", "add", secret]:
            _resource("version", secret).write_bytes(data)
        case ["secrets", "versions", "access", "latest"]:
            print(_found("version", flags["secret"]).read_text(encoding="utf-8"))
        case ["functions", "deploy", name]:
            if name not in _names("functions"):
                _eventarc_subscription(SUBSCRIPTION.format(name=name, **flags), flags)
            _resource("functions", name).touch()
        case ["functions", "describe", name]:
            _found("functions", name)
            print(TRIGGER.format(name=name, **flags))
        case ["eventarc", "triggers", "describe", trigger]:
            name = trigger.rpartition("/")[2].removesuffix("-123456")
            print(SUBSCRIPTION.format(name=name, region=flags["location"], project=flags["project"]))
        case ["auth", "configure-docker", _]:
            pass
        case ["run", "deploy", name]:
            _resource("run-services", name).touch()
        case ["run", "services", "describe", name]:
            if name not in _names("run-services"):
                sys.exit(f"ERROR: (gcloud.run.services.describe) Cannot find service [{name}]")
            print(SERVICE.format(name=name, **flags))
        case ["beta", "run", "jobs", "deploy", name]:
            _resource("run-jobs", name).touch()
        case ["run", "jobs", "execute", name]:
            _found("run-jobs", name)
        case ["scheduler", "jobs", "create", "http", name]:
            _resource("scheduler-jobs", name).touch(exist_ok=False)
        case ["storage", "buckets", what, address]:
            bucket = _resource("storage-buckets", address.removeprefix("gs://"))
            bucket.touch(exist_ok=False) if what == "create" else _found("storage-buckets", bucket.name)
        case ["storage", "rm", address]:
            _found("storage-buckets", address.removeprefix("gs://")).unlink()
        case ["pubsub", "topics", "list-subscriptions", _]:
            print(
                "\n".join(f"projects/{flags['project']}/subscriptions/{name}" for name in _names("push-subscriptions"))
            )
        case ["pubsub", "subscriptions", "update", name]:
            _found("push-subscriptions", name.rpartition("/")[2])
        case ["functions", "delete", name]:
            _found("functions", name).unlink()
            for subscription in _names("push-subscriptions"):
                if subscription.startswith("eventarc-"):
                    _resource("push-subscriptions", subscription).unlink()
        case [*group, "describe", name]:
            _found("-".join(group), name.partition("@")[0])
        case [*group, "create", name]:
            _resource("-".join(group), name).touch(exist_ok=False)
            if "push-endpoint" in flags:
                _resource("push-subscriptions", name).touch()
        case [*group, "delete", name]:
            _found("-".join(group), name.partition("@")[0]).unlink()
            _resource("push-subscriptions", name).unlink(missing_ok=True)
        case _:
            sys.exit(f"ERROR: (gcloud) the stand-in does not know: {arguments}")


def _record(arguments: list[str], flags: dict[str, str], data: bytes) -> None:
    call = {
        "arguments": arguments,
        "stdin": hashlib.sha256(data).hexdigest() if data else None,
        "environment": dict(os.environ),
    }
    if "env-vars-file" in flags:
        file = Path(flags["env-vars-file"])
        call["env_vars"] = file.read_text(encoding="utf-8")
        call["env_vars_mode"] = oct(file.stat().st_mode & 0o777)
    with (STATE / "calls.jsonl").open("a", encoding="utf-8") as record:
        record.write(json.dumps(call) + "\n")


def _for_the_emulator(words: list[str], arguments: list[str]) -> list[str]:
    """The arguments without what the emulator does not support: retention above 7 days, updates of the expiration."""
    supported = [word.replace("retention-duration=31d", "retention-duration=7d") for word in arguments]
    return [word for word in supported if not (words[2] == "update" and word.startswith("--expiration-period"))]


def _fail_if_configured(command: str) -> None:
    """Exit with an error if `failure.json` has this call fail: a part of the command, the error, and how many times."""
    file = STATE / "failure.json"
    if not file.exists():
        return
    rule = json.loads(file.read_text(encoding="utf-8"))
    if rule["times"] and rule["command"] in command:
        rule["times"] -= 1
        file.write_text(json.dumps(rule), encoding="utf-8")
        sys.exit(f"ERROR: (gcloud) {rule['error']}")


def _resource(kind: str, name: str) -> Path:
    folder = STATE / "resources" / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _names(kind: str) -> list[str]:
    return sorted(path.name for path in (STATE / "resources" / kind).glob("*"))


def _found(kind: str, name: str) -> Path:
    path = _resource(kind, name)
    if not path.exists():
        sys.exit(f"ERROR: (gcloud) NOT_FOUND: {kind} [{name}] not found.")
    return path


def _eventarc_subscription(name: str, flags: dict[str, str]) -> None:
    """Create the subscription that Eventarc creates; also in the emulator if Pub/Sub commands are forwarded to it."""
    _resource("push-subscriptions", name.rpartition("/")[2]).touch()
    if "GCLOUD_FORWARD_PUBSUB" in os.environ:
        import urllib.request  # noqa: PLC0415 - importing it would double the run time of all other commands

        url = os.environ["CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB"] + "v1/" + name
        topic = f"projects/{flags['project']}/topics/{flags['trigger-topic']}"
        body = {"topic": topic, "pushConfig": {"pushEndpoint": "http://127.0.0.1:9/"}, "ackDeadlineSeconds": 10}
        request = urllib.request.Request(  # noqa: S310 - the emulator's URL
            url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="PUT"
        )
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310


if __name__ == "__main__":
    main(sys.argv[1:])
