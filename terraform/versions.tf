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
      version = ">= 7.45, < 8.0"
    }
  }
}
