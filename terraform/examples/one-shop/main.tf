# One shop, with the module called from your own root. Copy this folder and set the module's source to its address:
#
#   source = "git::https://github.com/YOUR/FORK.git//terraform?ref=v1.0.0"

terraform {
  required_version = ">= 1.11"

  # backend "gcs" { bucket = "my-terraform-state", prefix = "klaviyo-sync" }

  required_providers {
    commercetools = {
      source  = "labd/commercetools"
      version = "~> 1.22"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 7.45, < 8.0"
    }
  }
}

# Pass secrets from outside: TF_VAR_ct_api_client='{"client_id": "...", "secret": "..."}' and so on.

variable "ct_api_client" {
  description = "The function's API client, with view scopes."
  type        = object({ client_id = string, secret = string })
  sensitive   = true
}

variable "klaviyo_auth_key" {
  description = "Klaviyo's private key."
  type        = string
  sensitive   = true
}

variable "commercetools_admin_client" {
  description = "Terraform's own API client, with manage_subscriptions."
  type        = object({ client_id = string, secret = string })
  sensitive   = true
}

locals {
  google_project = "shop-sync-prod"
  region         = "europe-west1"
  shop           = "my-shop"
  ct_api_url     = "https://api.europe-west1.gcp.commercetools.com"
  ct_auth_url    = "https://auth.europe-west1.gcp.commercetools.com"
}

provider "google" {
  project = local.google_project
  region  = local.region
}

provider "commercetools" {
  api_url       = local.ct_api_url
  token_url     = local.ct_auth_url
  project_key   = local.shop
  scopes        = "manage_subscriptions:${local.shop}"
  client_id     = var.commercetools_admin_client.client_id
  client_secret = var.commercetools_admin_client.secret
}

module "sync" {
  source = "../.."

  project_id    = local.google_project
  region        = local.region
  ct_api_url    = local.ct_api_url
  ct_auth_url   = local.ct_auth_url
  ct_project_id = local.shop

  ct_api_client    = var.ct_api_client
  klaviyo_auth_key = var.klaviyo_auth_key

  preferred_locale   = "en-US"
  preferred_currency = "EUR"
  alert_emails       = ["ops@shop.example"]
}

output "topic" {
  description = "The topic that commercetools publishes to."
  value       = module.sync.topic
}

output "on_call" {
  description = "Commands to paste when you are paged: the names of this deployment and the first thing to run."
  value       = module.sync.on_call
}

output "dashboard_url" {
  description = "Address of the dashboard: look here first."
  value       = module.sync.dashboard_url
}
