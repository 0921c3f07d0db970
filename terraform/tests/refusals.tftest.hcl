# Invalid values of variables. Terraform refuses them before it calls Google or commercetools.

mock_provider "archive" {}
mock_provider "commercetools" {}
mock_provider "google" {}

variables {
  project_id       = "shop-sync"
  region           = "europe-west1"
  ct_api_url       = "https://api.europe-west1.gcp.commercetools.com"
  ct_auth_url      = "https://auth.europe-west1.gcp.commercetools.com"
  ct_project_id    = "my-shop"
  ct_api_client    = { client_id = "id-of-client", secret = "secret-of-client" }
  klaviyo_auth_key = "pk_of_nobody"
  source_dir       = "tests/source"
  alert_emails     = ["ops@shop.example"]
}

run "malformed_values" {
  command = plan

  variables {
    project_id                   = "Shop Sync"
    region                       = "europe-west1-b"
    name                         = "a-name-that-is-longer-than-an-account-may-be"
    labels                       = { App = "x" }
    ct_api_url                   = "https://api.example/"
    ct_auth_url                  = "http://auth.example"
    ct_project_id                = "my shop"
    ct_scope                     = "view_orders"
    existing_secrets             = { klaviyo_auth_key = "projects/p/secrets/klaviyo-key" }
    secrets_version              = 0
    preferred_locale             = "english"
    preferred_currency           = "Euro"
    product_url_template         = "/p/{{productSlug}}"
    klaviyo_api_url              = "http://proxy.example"
    sync_config_file             = "tests/missing.toml"
    extra_environment            = { THREADS = "1" }
    concurrency                  = 0
    cpu                          = 0.5
    timeout_seconds              = 600
    min_instances                = -1
    alert_emails                 = ["nobody"]
    notification_channels        = ["123"]
    alert_oldest_message_seconds = 10
    alert_failed_deliveries      = -1
    source_dir                   = ""
    message_storage_regions      = ["EU"]
    dead_letter_retention_days   = 32
    subscribed_messages          = { order = [] } # would mean all messages
    subscribed_changes           = ["InventoryEntry"]
  }

  expect_failures = [
    var.project_id,
    var.region,
    var.name,
    var.labels,
    var.ct_api_url,
    var.ct_auth_url,
    var.ct_project_id,
    var.ct_scope,
    var.existing_secrets,
    var.secrets_version,
    var.preferred_locale,
    var.preferred_currency,
    var.product_url_template,
    var.klaviyo_api_url,
    var.sync_config_file,
    var.extra_environment,
    var.concurrency,
    var.cpu,
    var.timeout_seconds,
    var.min_instances,
    var.alert_emails,
    var.notification_channels,
    var.alert_oldest_message_seconds,
    var.alert_failed_deliveries,
    var.source_dir,
    var.message_storage_regions,
    var.dead_letter_retention_days,
    var.subscribed_messages,
    var.subscribed_changes,
  ]
}

# These validations also read other variables, which must be valid for them to run.
run "malformed_values_of_dependent_validations" {
  command = plan

  variables {
    existing_secrets = { klaviyo_auth_key = "klaviyo-key" } # klaviyo_auth_key is set as well
    image            = "klaviyo-sync"
    memory           = "128Mi"
    max_instances    = 0
  }

  expect_failures = [var.klaviyo_auth_key, var.image, var.memory, var.max_instances]
}

run "secrets_missing" {
  command = plan

  variables {
    ct_api_client    = null
    klaviyo_auth_key = null
  }

  expect_failures = [var.ct_api_client, var.klaviyo_auth_key]
}

run "secrets_empty" {
  command = plan

  variables {
    ct_api_client    = { client_id = "id-of-client", secret = "" }
    klaviyo_auth_key = ""
  }

  expect_failures = [var.ct_api_client, var.klaviyo_auth_key]
}

run "values_that_contradict_each_other" {
  command = plan

  variables {
    cpu               = 4
    memory            = "1Gi"
    min_instances     = 3
    max_instances     = 2
    extra_environment = { X_GOOGLE_NAME = "x" }
  }

  expect_failures = [var.memory, var.max_instances, var.extra_environment]
}

run "push_settings_for_hosts_outside_google" {
  command = plan

  variables {
    extra_environment = { PUSH_AUDIENCE = "https://sync.example", PUSH_SERVICE_ACCOUNT = "push@shop-sync" }
  }

  expect_failures = [var.extra_environment]
}

run "settings_that_an_image_does_not_take" {
  command = plan

  variables {
    image             = "europe-west1-docker.pkg.dev/shop-sync/sync/klaviyo-sync:1"
    sync_config_file  = "tests/own.toml"
    extra_environment = { SECRETS_VERSION = "1" }
  }

  expect_failures = [var.sync_config_file, var.extra_environment]
}

run "source_dir_without_main_py" {
  command = plan

  variables {
    source_dir = "tests/source/handlers"
  }

  expect_failures = [data.archive_file.source]
}
