# Several shops in one Google Cloud project. Each gets its own sync: topic, queue, function, service accounts and alerts.

terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.45, < 8.0"
    }
  }
}

# Pass secrets from outside, by shop: TF_VAR_secrets='{"de": {"ct_api_client": {"client_id": "...", "secret": "..."}, "klaviyo_auth_key": "..."}, ...}'
variable "secrets" {
  description = "API client and Klaviyo key of each shop."
  type = map(object({
    ct_api_client    = object({ client_id = string, secret = string })
    klaviyo_auth_key = string
  }))
  sensitive = true
}

locals {
  google_project = "shop-sync-prod"

  # Each key becomes part of resource names, e.g. klaviyo-sync-de. Never change it for an existing shop.
  shops = {
    de = { project_key = "my-shop-de", region = "europe-west1", cloud = "europe-west1.gcp", locale = "de-DE", currency = "EUR" }
    us = { project_key = "my-shop-us", region = "us-central1", cloud = "us-central1.gcp", locale = "en-US", currency = "USD" }
  }
}

provider "google" {
  project = local.google_project
}

module "sync" {
  source   = "../.."
  for_each = local.shops

  project_id    = local.google_project
  region        = each.value.region
  name          = "klaviyo-sync-${each.key}"
  ct_api_url    = "https://api.${each.value.cloud}.commercetools.com"
  ct_auth_url   = "https://auth.${each.value.cloud}.commercetools.com"
  ct_project_id = each.value.project_key

  ct_api_client    = var.secrets[each.key].ct_api_client
  klaviyo_auth_key = var.secrets[each.key].klaviyo_auth_key

  preferred_locale   = each.value.locale
  preferred_currency = each.value.currency
  alert_emails       = ["ops@shop.example"]

  # All instances of a module share their providers, and a commercetools provider serves only one shop. So create the subscriptions with
  # the commands in the output below. (Or write one module block per shop, each with its own provider:
  # providers = { google = google, commercetools = commercetools.de }.)
  commercetools_subscriptions = false
}

output "subscription_commands" {
  description = "Command that creates each shop's commercetools subscriptions. Run it with that shop's settings in the environment."
  value = {
    for shop, sync in module.sync : shop => "python3 manage.py subscriptions apply --prefix klaviyo-sync-${shop} --topic ${sync.topic}"
  }
}

output "on_call" {
  description = "Commands to paste when you are paged, by shop: the names of its deployment and the first thing to run."
  value       = { for shop, sync in module.sync : shop => sync.on_call }
}

output "dashboards" {
  description = "Address of each shop's dashboard: look here first."
  value       = { for shop, sync in module.sync : shop => sync.dashboard_url }
}
