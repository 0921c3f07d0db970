# What one log line is enough for: it does not mend by itself, and in a small shop no threshold would see it for half an hour.

resource "google_monitoring_alert_policy" "denied" {
  project = var.project_id

  display_name          = "${var.name}: a key is refused"
  severity              = "CRITICAL"
  combiner              = "OR"
  notification_channels = local.notification_channels

  conditions {
    display_name = "Klaviyo or commercetools refuses the key"

    condition_matched_log {
      filter           = "${local.log_of_messages} AND jsonPayload.outcome=\"retried\" AND jsonPayload.reason=~\"_denied$\""
      label_extractors = { reason = "EXTRACT(jsonPayload.reason)", status = "EXTRACT(jsonPayload.status)" }
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    subject   = "${var.name}: a key is refused"
    mime_type = "text/markdown"
    content   = <<-EOT
      `$${log.extracted_label.reason}`, status $${log.extracted_label.status}: a key is wrong, was revoked, or lacks a scope. Messages wait in Pub/Sub, and become dead letters after 100 attempts in about 16 hours.

      1. `klaviyo_denied`: Klaviyo's private key. 401: it is wrong or revoked. 403: it lacks a scope (profiles and catalogs, read and write; events:write; data-privacy:write; subscriptions:write and lists:write for `[consent]`).
      2. `commercetools_denied`: the API client, or `ct_scope`. 401: the client is wrong or was deleted. 403: it lacks a scope. 400: `ct_scope` names a scope that the client does not have.
      3. Put it right: ${local.remedy}
      4. Look at the log: lines with `outcome="synced"` come again, and the messages that waited are delivered within ten minutes.

      More: docs/failures.md in the repository, "A key is wrong".
    EOT
  }
}

resource "google_monitoring_alert_policy" "unforeseen" {
  project = var.project_id

  display_name          = "${var.name}: something unforeseen"
  severity              = "ERROR"
  combiner              = "OR"
  notification_channels = local.notification_channels

  conditions {
    display_name = "A message failed in a way that nobody thought of"

    condition_matched_log {
      filter           = "${local.log_of_messages} AND jsonPayload.outcome=\"retried\" AND jsonPayload.reason=\"unforeseen\""
      label_extractors = { code = "EXTRACT(jsonPayload.code)", resource = "EXTRACT(jsonPayload.resource)" }
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    subject   = "${var.name}: something unforeseen"
    mime_type = "text/markdown"
    content   = <<-EOT
      `$${log.extracted_label.code}` at `$${log.extracted_label.resource}`. The message is delivered again, and becomes a dead letter after 100 attempts in about 16 hours.

      1. `code` is the kind of error and the line it came from. Did a deployment come before? Deploy the version before it again.
      2. If it goes on for one resource only, try `manage.py preview` with its message, mend the code or the document in commercetools, and deploy.

      More: docs/failures.md in the repository.
    EOT
  }
}

resource "google_monitoring_alert_policy" "consent_list" {
  project = var.project_id

  display_name          = "${var.name}: nobody is subscribed"
  severity              = "ERROR"
  combiner              = "OR"
  notification_channels = local.notification_channels

  conditions {
    display_name = "Klaviyo does not have the list of [consent]"

    condition_matched_log {
      filter = "${local.log_of_function} AND jsonPayload.reason=\"consent_list\""
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    subject   = "${var.name}: nobody is subscribed"
    mime_type = "text/markdown"
    content   = <<-EOT
      `[consent] list` in sync.toml names a list that Klaviyo does not have. Customers are synced, and nobody who says yes is subscribed.

      1. `manage.py check` says whether the list is there. Its id stands in the address of its page in Klaviyo.
      2. Put it right in sync.toml, and deploy. Whoever said yes meanwhile is subscribed by the next change of the customer, or by `manage.py resync customer`.

      More: docs/failures.md and docs/consent.md in the repository.
    EOT
  }
}

locals {
  # With the names of this deployment, so that whoever is paged can paste them.
  remedies = concat(
    [for name, secret in google_secret_manager_secret.own : "give `${lower(name)}` the right value"],
    [for id in values(local.existing_secret_ids) : "add a version that holds the right value (`gcloud secrets versions add ${id} --project=${var.project_id} --data-file=-`)"],
  )
  remedy = "${join(", or ", sort(local.remedies))}; raise `secrets_version`, which is ${var.secrets_version}, and apply. New instances read the new version; old ones end by themselves."
}
