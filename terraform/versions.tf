terraform {
  # 1.11 has write-only arguments: the secrets are sent to Secret Manager and never stored in the state.
  required_version = ">= 1.11"

  required_providers {
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.7"
    }
    commercetools = {
      source  = "labd/commercetools"
      version = "~> 1.22"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 6.23, < 8.0"
    }
  }
}

provider "google" {
  project        = var.project_id
  region         = var.region
  default_labels = var.labels
}

# Without commercetools_admin_client the provider reads CTP_CLIENT_ID and CTP_CLIENT_SECRET.
provider "commercetools" {
  api_url       = var.ct_api_url
  token_url     = var.ct_auth_url
  project_key   = var.ct_project_id
  scopes        = "manage_subscriptions:${var.ct_project_id}"
  client_id     = try(var.commercetools_admin_client.client_id, null)
  client_secret = try(var.commercetools_admin_client.secret, null)
}
