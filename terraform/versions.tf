terraform {
  # 1.11 introduced write-only arguments: with them secrets reach Secret Manager without being stored in the state.
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
