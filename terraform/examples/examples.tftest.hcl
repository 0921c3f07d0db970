# Tests of the roots in examples/, and of this module applied in its own folder. tests/deploy/test_terraform.py runs
# them in a folder that contains a copy of the repository, and in here/ a second copy with providers.tf.

mock_provider "archive" {}
mock_provider "commercetools" {}
mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "4711" }
  }
}

run "one_shop" {
  module {
    source = "./terraform/examples/one-shop"
  }

  variables {
    ct_api_client              = { client_id = "id-of-client", secret = "secret-of-client" }
    klaviyo_auth_key           = "pk_of_nobody"
    commercetools_admin_client = { client_id = "id-of-admin", secret = "secret-of-admin" }
  }

  assert {
    condition     = length(module.sync.commercetools_subscriptions) == 2
    error_message = "Terraform creates the subscriptions."
  }

  assert {
    condition     = endswith(output.dashboard_url, "?project=shop-sync-prod")
    error_message = "The outputs are passed on."
  }
}

run "several_shops" {
  module {
    source = "./terraform/examples/several-shops"
  }

  variables {
    secrets = {
      de = { ct_api_client = { client_id = "de", secret = "secret-de" }, klaviyo_auth_key = "pk_de" }
      us = { ct_api_client = { client_id = "us", secret = "secret-us" }, klaviyo_auth_key = "pk_us" }
    }
  }

  assert {
    condition     = keys(module.sync) == ["de", "us"] && alltrue([for sync in module.sync : length(sync.commercetools_subscriptions) == 0])
    error_message = "There is one sync per shop, and manage.py creates the subscriptions."
  }

  assert {
    condition     = alltrue([for shop, sync in module.sync : strcontains(sync.log_command, "klaviyo-sync-${shop}\"")])
    error_message = "Each sync has its own name."
  }

  assert {
    condition     = alltrue([for shop, command in output.subscription_commands : strcontains(command, "--prefix klaviyo-sync-${shop} ")])
    error_message = "Each shop's subscriptions have their own keys."
  }
}

run "applied_in_its_own_folder" {
  module {
    source = "./here/terraform"
  }

  variables {
    project_id                 = "shop-sync"
    region                     = "europe-west1"
    ct_api_url                 = "https://api.europe-west1.gcp.commercetools.com"
    ct_auth_url                = "https://auth.europe-west1.gcp.commercetools.com"
    ct_project_id              = "my-shop"
    ct_api_client              = { client_id = "id-of-client", secret = "secret-of-client" }
    klaviyo_auth_key           = "pk_of_nobody"
    commercetools_admin_client = { client_id = "id-of-admin", secret = "secret-of-admin" }
    alert_emails               = ["ops@shop.example"]
  }

  assert {
    condition     = length(output.commercetools_subscriptions) == 2
    error_message = "With providers.tf the module's own folder is a root module."
  }
}

run "an_admin_client_without_a_secret" {
  command = plan

  module {
    source = "./here/terraform"
  }

  variables {
    project_id                 = "shop-sync"
    region                     = "europe-west1"
    ct_api_url                 = "https://api.europe-west1.gcp.commercetools.com"
    ct_auth_url                = "https://auth.europe-west1.gcp.commercetools.com"
    ct_project_id              = "my-shop"
    ct_api_client              = { client_id = "id-of-client", secret = "secret-of-client" }
    klaviyo_auth_key           = "pk_of_nobody"
    commercetools_admin_client = { client_id = "", secret = "x" }
    alert_emails               = ["ops@shop.example"]
  }

  expect_failures = [var.commercetools_admin_client]
}
