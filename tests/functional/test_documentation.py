"""README and docs are correct: code blocks parse, examples work as written, generated pages are up to date."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path
from types import ModuleType

import pytest

from commands.mapping_page import page
from commands.processes import ROOT, Sandbox, running_function
from core.rules import SyncRules
from handlers.registry import registrations
from manage import COMMANDS
from sandbox.samples import DOCUMENTS, ENVIRONMENT
from tests.functional.conftest import ACKNOWLEDGED, Serve

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("terraform/*.md")])
DEPLOYED = ("main.py", "pipeline.py")
DEPLOYED_FOLDERS = ("core", "handlers", "mappers", "clients", "jobs")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(
        language, text, id=f"{path.name}:{path.read_text(encoding='utf-8').count(chr(10), 0, found.start()) + 1}"
    )
    for path in PAGES
    for found in _BLOCK.finditer(path.read_text(encoding="utf-8"))
    for language, text in [found.groups()]
]


def blocks(name: str, language: str) -> list[str]:
    """The code blocks of a language on a page."""
    return [text for found, text in _BLOCK.findall((ROOT / name).read_text(encoding="utf-8")) if found == language]


@pytest.mark.parametrize(("language", "text"), BLOCKS)
def test_every_block_parses(language: str, text: str) -> None:
    """Every code block is valid in its language; TOML must also be a valid sync.toml."""
    match language:
        case "bash" | "sh":
            checked = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
            assert checked.returncode == 0, checked.stderr
        case "python":
            ast.parse(text)
        case "json":
            json.loads(text)
        case "toml":
            SyncRules.model_validate(tomllib.loads(text))
        case "mermaid":
            assert re.match(r"(flowchart|sequenceDiagram)\b", text)
        case "ini":
            ConfigParser(interpolation=None).read_string(text)
        case "diff":
            assert re.match(r"--- a/(\S+)\n\+\+\+ b/\1\n@@ ", text)
        case "hcl":
            assert text.count("{") == text.count("}")
        case _:
            pytest.fail(f"no check for blocks in {language}")


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.*)$", _BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_relative_links_are_valid() -> None:
    """Every relative link leads to an existing file, and to an existing heading."""
    for path in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", path.read_text(encoding="utf-8")):
            linked = path.parent / target if target else path
            assert linked.exists(), f"{path.name} links to {target}"
            assert not anchor or anchor in anchors(linked), f"{path.name} links to {target}#{anchor}"


def test_the_index_lists_every_page() -> None:
    """docs/README.md links to each page of docs/ exactly once."""
    linked = re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs/README.md").read_text(encoding="utf-8"))
    assert sorted(linked) == sorted(page.name for page in ROOT.glob("docs/*.md") if page.name != "README.md")


def test_the_mapping_page_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/mapping.md is what the code generates from the samples."""
    for name in ("CT_API_URL", "CT_AUTH_URL", "CT_PROJECT_ID", "CT_SCOPE", "CT_API_CLIENT", *ENVIRONMENT):
        monkeypatch.setenv(name, "")
    for name in ("KLAVIYO_AUTH_KEY", "KLAVIYO_API_URL"):
        monkeypatch.setenv(name, "")
    assert (ROOT / "docs/mapping.md").read_text(encoding="utf-8") == page()


def table_of_messages() -> str:
    """The table in docs/messages.md."""
    text = (ROOT / "docs/messages.md").read_text(encoding="utf-8")
    return text.split("\n## Table\n")[1].split("\n## ")[0]


def test_the_table_names_every_message() -> None:
    """docs/messages.md lists exactly the messages of the registry."""
    table = table_of_messages()
    listed = {
        (row.split("|")[1].strip(), name) for row in table.splitlines() for name in re.findall(r"`([A-Z]\w+)`", row)
    }
    assert listed == {(one.resource_type, one.type) for one in registrations()}


def test_the_table_names_every_condition() -> None:
    """The table's last column is the setting that a row's messages need, or empty if they need none."""
    table = table_of_messages()
    shown = {}
    for row in table.splitlines():
        cells = [cell.strip() for cell in row.split("|")]
        for name in re.findall(r"`([A-Z]\w+)`", row):
            shown[cells[1], name] = cells[4].replace("`", "")
    assert shown == {(one.resource_type, one.type): one.when.name if one.when else "" for one in registrations()}


def test_the_commands_for_your_own_shop_work(serve: Serve, sandbox: Sandbox, tmp_path: Path) -> None:
    """The commands of docs/run-locally.md preview, resync and send an order, in this order, with only `.env`."""
    sandbox.commercetools.put_all(
        {
            folder.name: [json.loads(file.read_text(encoding="utf-8")) for file in folder.iterdir()]
            for folder in DOCUMENTS.iterdir()
        }
    )
    function = serve(SKIP_BASE64_ENCODING="1")
    settings = [f"{name}='{value}'" for name, value in sandbox.environment.items()]
    (tmp_path / ".env").write_text("\n".join(settings), encoding="utf-8")
    page = (ROOT / "docs/run-locally.md").read_text(encoding="utf-8")
    commands = re.findall(r"^(?:python3 manage\.py (?:preview|resync|send)|curl) .*$", page, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["python3"] * 4 + ["curl"]
    for command in commands:
        runnable = command.replace("python3 manage.py", f"{sys.executable} {ROOT / 'manage.py'}")
        runnable = runnable.replace("send order.json", f"send order.json --url {function.url}")
        result = subprocess.run(
            ["bash", "-c", runnable.replace("http://localhost:8080", function.url)],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"]},
            input="y\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
    assert [line["outcome"] for line in function.lines() if "outcome" in line] == ["synced", "synced"]
    placed = [event["unique_id"] for event in sandbox.klaviyo.state()["events"] if event["metric"] == "Placed Order"]
    assert placed == ["0d000000-0000-4000-8000-000000000001"]


def test_the_handler_of_the_guide_works_as_written(sandbox: Sandbox, tmp_path: Path) -> None:
    """With the files and edits of docs/extending.md a copy sends an event for a review, and passes lint and tests."""
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns(".venv", ".git", ".*_cache", "__pycache__", ".terraform", "node_modules")
    shutil.copytree(ROOT, copy, ignore=ignored)
    handler, _queue = blocks("docs/extending.md", "python")
    (sample,) = blocks("docs/extending.md", "json")
    (copy / "handlers/review.py").write_text(handler, encoding="utf-8")
    (copy / "samples/95-review-created.json").write_text(sample, encoding="utf-8")
    for edit in blocks("docs/extending.md", "diff"):
        command = ["git", "apply", "--unidiff-zero", "-"]
        result = subprocess.run(command, cwd=copy, input=edit, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, "")
    checks = [
        ["ruff", "check", "handlers", "samples"],
        ["ruff", "format", "--check", "handlers"],
        ["pytest", "-q", "-n0", "tests/unit/test_samples.py", "tests/unit/test_layers.py",
         "tests/functional/test_messages.py::test_the_registry_has_the_keys_of_the_table",
         "tests/functional/test_documentation.py::test_the_table_names_every_message",
         "tests/deploy/test_terraform.py::test_messages_asked_for_are_those_of_the_registry"],
    ]  # fmt: skip
    for check in checks:
        result = subprocess.run([sys.executable, "-m", *check], cwd=copy, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout
    with running_function(sandbox.environment, source=copy / "main.py") as function:
        for _ in range(2):
            assert function.push(sample.encode(), "review") == ACKNOWLEDGED
    (event,) = sandbox.klaviyo.state()["events"]
    assert (event["metric"], event["properties"]["Rating"]) == ("Reviewed Product", 5)


def test_the_queue_of_the_guide_works_as_written(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SQS handler of docs/extending.md returns exactly the messages that were not acknowledged."""
    _handler, queue = blocks("docs/extending.md", "python")
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    module = ModuleType("queue_example")
    exec(compile(queue, "docs/extending.md", "exec"), module.__dict__)  # noqa: S102 - our own page
    notification = (ROOT / "samples/01-subscription-test.json").read_text(encoding="utf-8")
    records = [
        {"messageId": name, "body": body, "attributes": {"ApproximateReceiveCount": "1"}}
        for name, body in (("good", notification), ("poison", "not json"))
    ]
    assert module.on_sqs({"Records": records}, None) == {"batchItemFailures": [{"itemIdentifier": "poison"}]}


@pytest.mark.parametrize(
    "command",
    [
        "",
        *COMMANDS,
        "backfill status",
        "prices due",
        "subscriptions plan",
        "subscriptions apply",
        "subscriptions delete",
        "dead-letters list",
        "dead-letters show",
        "dead-letters replay",
        "dead-letters drop",
    ],
)
def test_help_of_every_command(command: str) -> None:
    """`--help` shows an example that can be copied, fits 80 columns and exits with 0."""
    arguments = [sys.executable, "manage.py", *command.split(), "--help"]
    result = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "Example:" in result.stdout
    assert not re.search(r"\S-\n", result.stdout.partition("Example:")[2]), "click breaks lines at hyphens"
