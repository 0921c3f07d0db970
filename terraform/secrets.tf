locals {
  existing_secret_ids = {
    for name, id in {
      CT_API_CLIENT    = var.existing_secrets.ct_api_client
      KLAVIYO_AUTH_KEY = var.existing_secrets.klaviyo_auth_key
    } : name => id if id != null
  }

  own_secret_ids = {
    for name, id in {
      CT_API_CLIENT    = "${var.name}-ct-api-client"
      KLAVIYO_AUTH_KEY = "${var.name}-klaviyo-auth-key"
    } : name => id if !contains(keys(local.existing_secret_ids), name)
  }

  secret_values = {
    CT_API_CLIENT = jsonencode({
      clientId = try(var.ct_api_client.client_id, "")
      secret   = try(var.ct_api_client.secret, "")
    })
    KLAVIYO_AUTH_KEY = var.klaviyo_auth_key
  }

  # Both maps are keyed by the environment variable's name.
  secret_ids = merge(
    local.existing_secret_ids,
    { for name, secret in google_secret_manager_secret.own : name => secret.secret_id },
  )
  secret_versions = merge(
    { for name in keys(local.existing_secret_ids) : name => "latest" },
    { for name, version in google_secret_manager_secret_version.own : name => version.version },
  )

  # An instance reads the version "latest" once, when it starts. This number is an environment variable, so raising
  # secrets_version creates a new revision, whose instances read the new secret. The secrets created here do not need
  # it: the function names their version, which changes by itself.
  secrets_version = length(local.existing_secret_ids) > 0 ? tostring(var.secrets_version) : null
}

resource "google_secret_manager_secret" "own" {
  for_each = local.own_secret_ids

  project   = var.project_id
  secret_id = each.value
  labels    = var.labels

  replication {
    auto {}
  }

  depends_on = [google_project_service.required]
}

# The value is write-only: neither the state nor a plan contains it. A new secrets_version sends it again. The function
# names the version, so it is redeployed with the new one before the old one is destroyed.
resource "google_secret_manager_secret_version" "own" {
  for_each = local.own_secret_ids

  secret                 = google_secret_manager_secret.own[each.key].id
  secret_data_wo         = local.secret_values[each.key]
  secret_data_wo_version = var.secrets_version

  lifecycle {
    create_before_destroy = true
  }
}
