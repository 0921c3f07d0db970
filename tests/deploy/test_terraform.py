"""The Terraform module is valid, subscribes to what the registry handles, deploys what runs, and protects secrets."""

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
import pytest

from commands.check_commercetools import SCOPES
from commands.subscription_plan import changes, keys, messages
from core.rules import SyncRules
from tests.deploy.upload import copy_upload, imported_modules

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "terraform"
CHECK = ROOT.parent / "shared/tools/terraform-check/check"
JOB_SCHEMAS = Path(__file__).with_name("job_schemas.json")
"""Schemas of jobs, their schedules and their rights in provider google 7.45, written by hand from its documentation.

Only the parts that the module uses.
"""

SECRETS = {"CT_API_CLIENT", "KLAVIYO_AUTH_KEY"}
NOT_IN_FUNCTION_TF = {
    "APP_TYPE",
    "SKIP_BASE64_ENCODING",
    "PUB_SUB_PORT",
    "PUSH_AUDIENCE",
    "PUSH_SERVICE_ACCOUNT",
    "SYNC_CONFIG",
}
"""Settings for `extra_environment`, settings without effect on Google Cloud, and SYNC_CONFIG (see sync_config_file)."""


def _plain(value: object) -> Any:
    """A parsed value without python-hcl2's quotes and its extra keys (`__is_block__`, `__comments__`)."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.strip('"') if isinstance(value, str) else value


@cache
def _files() -> list[dict[str, Any]]:
    """The parsed files of the module, without the providers.tf that a user adds to apply it in its own folder."""
    paths = (path for path in sorted(MODULE.glob("*.tf")) if path.name != "providers.tf")
    return [_plain(hcl2.loads(path.read_text(encoding="utf-8"))) for path in paths]


def _blocks(kind: str) -> dict[str, Any]:
    """All blocks of a kind in the module, by label. A resource's label is `type.name`."""
    found: dict[str, Any] = {}
    for file in _files():
        for block in file.get(kind, []):
            for label, body in block.items():
                if kind == "resource":
                    found |= {f"{label}.{name}": attributes for name, attributes in body.items()}
                else:
                    found[label] = body
    return found


def _check(folder: Path, tool: Path) -> None:
    """Assert that `terraform fmt`, `validate` and `test` pass against the providers' schemas.

    Skips the test without Terraform or the schema check, or fails it if REQUIRE_TERRAFORM is set. The check is copied
    to `tool`, where the schemas of job_schemas.json are added to it.
    """
    missing = [
        name
        for name, is_available in (("terraform", shutil.which("terraform")), (CHECK.name, CHECK.exists()))
        if not is_available
    ]
    if missing:
        reason = f"needs terraform and the schema check next to the repository; missing: {', '.join(missing)}"
        if os.environ.get("REQUIRE_TERRAFORM"):
            pytest.fail(reason)
        pytest.skip(reason)
    shutil.copytree(CHECK.parent, tool)
    schemas = json.loads((tool / "provider-schemas.json").read_text(encoding="utf-8"))
    google = schemas["provider_schemas"]["registry.terraform.io/hashicorp/google"]["resource_schemas"]
    google |= json.loads(JOB_SCHEMAS.read_text(encoding="utf-8"))
    (tool / "provider-schemas.json").write_text(json.dumps(schemas), encoding="utf-8")
    run = subprocess.run([tool / CHECK.name, folder], capture_output=True, text=True, timeout=1190, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"Success! [1-9]\d* passed, 0 failed", run.stdout)


@pytest.mark.timeout(1200)
def test_module_is_valid_and_its_own_tests_pass(tmp_path: Path) -> None:
    """The module itself, with mocked providers."""
    _check(MODULE, tmp_path / "tool")


@pytest.mark.timeout(1200)
def test_examples_are_complete_roots(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each example, and the module's own folder with providers.tf, is complete enough for `terraform apply`."""
    (tmp_path / "versions.tf").write_text('terraform {\n  required_version = ">= 1.11"\n}\n', encoding="utf-8")
    here = tmp_path / "here"
    for folder in (tmp_path, here):
        copy_upload(folder)
        shutil.copytree(MODULE, folder / "terraform", ignore=shutil.ignore_patterns(".terraform*", "providers.tf"))
    shutil.copyfile(MODULE / "providers.tf.example", here / "terraform" / "providers.tf")
    (tmp_path / "tests").mkdir()
    shutil.copy(MODULE / "examples" / "examples.tftest.hcl", tmp_path / "tests")
    _check(tmp_path, tmp_path_factory.mktemp("check") / "tool")


def test_module_has_no_providers_of_its_own() -> None:
    """A module with a provider block can't be called with for_each. Resources name the project themselves."""
    assert _blocks("provider") == {}
    for name, body in _blocks("resource").items():
        # These have no project of their own: the id of the resource that they belong to contains it.
        in_id = ("google_storage_bucket_object.", "google_secret_manager_secret_version.", "commercetools_")
        rights_in_id = ("google_service_account_iam_member.", "google_storage_bucket_iam_member.")
        if not name.startswith((*in_id, *rights_in_id)):
            assert body["project"] == "${var.project_id}", f"{name} would be created in the provider's project"


def test_resources_with_count_are_moved() -> None:
    """Resources that got a `count`, because an image can replace them, have a `moved` block and are not re-created."""
    counted = {name for name, body in _blocks("resource").items() if "var.image == null ? 1" in str(body.get("count"))}
    moved = {move["from"].strip("${}"): move["to"].strip("${}") for file in _files() for move in file.get("moved", [])}
    assert counted
    assert moved == {name: f"{name}[0]" for name in counted}


def test_messages_asked_for_are_those_of_the_registry() -> None:
    """By default Terraform, `manage.py subscriptions` and the registry agree on messages, type by type."""
    assert {
        resource: sorted(types) for resource, types in _blocks("variable")["subscribed_messages"]["default"].items()
    } == messages(SyncRules())


def test_changes_asked_for_are_those_of_the_registry() -> None:
    """By default Terraform, `manage.py subscriptions` and the registry agree on changes; never on a product's."""
    assert sorted(_blocks("variable")["subscribed_changes"]["default"]) == changes(SyncRules())
    assert "product" not in changes(SyncRules())


def test_scopes_are_those_that_the_function_needs() -> None:
    """The default has the scopes that `manage.py check` requires. The description names the optional ones too."""
    function = (MODULE / "function.tf").read_text(encoding="utf-8")
    (listed,) = re.findall(r"for scope in \[(.*?)\] : ", function)
    assert re.findall(r'"(\w+)"', listed) == sorted({scope.name for scope in SCOPES if not scope.is_optional})
    assert {scope.name for scope in SCOPES} <= set(
        re.findall(r"view_\w+", _blocks("variable")["ct_scope"]["description"])
    )


def test_subscriptions_have_the_keys_of_manage_py() -> None:
    """`manage.py check` and `subscriptions plan` find the subscriptions that Terraform created by their keys."""
    created = {
        name.split(".")[1]: body["key"]
        for name, body in _blocks("resource").items()
        if "commercetools_subscription." in name
    }
    assert created == {key.removeprefix("${var.name}-"): key for key in keys("${var.name}")}


def test_archive_has_exactly_the_modules_that_run() -> None:
    """The patterns match what the function and the jobs import, directly or not, plus two files without code."""
    patterns = _blocks("locals")["source_patterns"]
    found = {str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern)}
    imported = imported_modules("main.py") | imported_modules("jobs/__main__.py")
    assert found == imported | {"sync.toml", "requirements.txt"}
    packages = {name for name in found if Path(name).name == "__init__.py"}
    folders = ("core", "handlers", "mappers", "clients", "jobs", "jobs/drift")
    assert packages == {f"{folder}/__init__.py" for folder in folders}


def test_every_documented_setting_reaches_the_function() -> None:
    """Each setting is an environment variable or a secret, or is left out of function.tf on purpose."""
    settings = set(
        re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/settings.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    function = (MODULE / "function.tf").read_text(encoding="utf-8")
    variables = set(re.findall(r"^ {6}([A-Z_]+) += ", function, re.MULTILINE))
    assert "THREADS" in settings
    assert settings <= variables | SECRETS | NOT_IN_FUNCTION_TF
    assert variables <= settings | {"GOOGLE_CLOUD_PROJECT", "SECRETS_VERSION"}
    assert not variables & SECRETS


def test_every_variable_is_typed_described_and_validated() -> None:
    """Only a bool needs no validation, because it can't have a wrong value."""
    variables = _blocks("variable")
    assert variables
    for name, variable in variables.items():
        assert variable.get("type"), name
        assert variable.get("description"), name
        assert variable.get("validation") or variable["type"] == "bool", name


def test_secrets_are_sensitive_and_no_output_is() -> None:
    """No output is marked sensitive. Terraform refuses secrets in other outputs, so no output contains a secret."""
    variables = _blocks("variable")
    secret = {name for name in variables if name.endswith(("_client", "_key"))}
    assert secret == {"ct_api_client", "klaviyo_auth_key"}
    assert all(variables[name].get("sensitive") is True for name in secret)
    outputs = _blocks("output")
    assert outputs
    for name, output in outputs.items():
        assert output.get("description"), name
        assert "sensitive" not in output, name
    version = _blocks("resource")["google_secret_manager_secret_version.own"]
    assert "secret_data" not in version
    assert "secret_data_wo" in version


def test_nobody_else_may_call_the_function() -> None:
    """No right is public, only push and schedules may invoke, and there is no Eventarc trigger."""
    resources = _blocks("resource")
    rights = {name: body for name, body in resources.items() if "_iam_" in name}
    assert not [name for name, body in rights.items() if re.search(r"allUsers|allAuthenticatedUsers", str(body))]
    assert [name for name, body in rights.items() if body["role"] == "roles/run.invoker"] == [
        "google_cloud_run_v2_service_iam_member.push_invokes",
        "google_cloud_run_v2_job_iam_member.schedule_starts",
    ]
    assert "event_trigger" not in resources["google_cloudfunctions2_function.sync"]
    assert not [name for name in resources if "eventarc" in name]


def test_jobs_have_minimal_rights() -> None:
    """A job may read the two secrets and write its bucket. It has no rights in Pub/Sub or on the project."""
    rights = {name: body for name, body in _blocks("resource").items() if "_iam_" in name and "jobs[0]" in str(body)}
    assert {name: body["role"] for name, body in rights.items()} == {
        "google_secret_manager_secret_iam_member.jobs_read": "roles/secretmanager.secretAccessor",
        "google_storage_bucket_iam_member.jobs_write": "roles/storage.objectUser",
    }


def test_drift_limit_is_that_of_sync_toml() -> None:
    """The dashboard's threshold and the alert's text have the default of `[reconcile] max_drift`."""
    max_drift = SyncRules().reconcile.max_drift
    assert f'limits = {{ "max_drift" = {max_drift} }}' in (MODULE / "dashboard.tf").read_text(encoding="utf-8")
    assert f"({max_drift:.1%})".replace("%", " %") in (MODULE / "drift.tf").read_text(encoding="utf-8")


def test_the_images_user_may_write_the_jobs_folder() -> None:
    """By default root would own the bucket that Cloud Run mounts."""
    (user,) = re.findall(r"^USER (\d+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    jobs = (MODULE / "jobs.tf").read_text(encoding="utf-8")
    assert f'"uid={user}", "gid={user}"' in jobs


def test_tfvars_example_sets_the_required_variables() -> None:
    """The example sets every variable that has no default, and no secret or unknown variable."""
    example = _plain(hcl2.loads((MODULE / "terraform.tfvars.example").read_text(encoding="utf-8")))
    variables = _blocks("variable")
    assert {name for name, variable in variables.items() if "default" not in variable} <= set(example) <= set(variables)
    assert not [name for name in example if variables[name].get("sensitive")]
