# Alerts that fire on a single log line. These problems do not go away by themselves, and in a small shop a threshold
# would take half an hour to notice them.

resource "google_monitoring_alert_policy" "denied" {
  project = var.project_id

  display_name          = "${var.name}: a key is refused"
  severity              = "CRITICAL"
  combiner              = "OR"
  notification_channels = local.notification_channels

  conditions {
    display_name = "Klaviyo or commercetools refuses the key"

    condition_matched_log {
      filter           = "${local.message_log_filter} AND jsonPayload.outcome=\"retried\" AND jsonPayload.reason=~\"_denied$\""
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
      `$${log.extracted_label.reason}`, status $${log.extracted_label.status}: a key is wrong, was revoked, or lacks a scope. Messages wait in Pub/Sub. They become dead letters after 100 attempts (about 16 hours).

      1. `klaviyo_denied` is about Klaviyo's private key. 401: the key is wrong or revoked. 403: it lacks a scope. It needs profiles and catalogs (read and write), events:write and data-privacy:write, and for `[consent]` also subscriptions:write and lists:write.
      2. `commercetools_denied` is about the API client or `ct_scope`. 401: the client is wrong or was deleted. 403: it lacks a scope. 400: `ct_scope` names a scope that the client does not have.
      3. Fix it: ${local.key_fix}
      4. Check the log: lines with `outcome="synced"` appear again. The waiting messages are redelivered within ten minutes.

      More: docs/failures.md in the repository, "A key is wrong".
    EOT
  }
}

resource "google_monitoring_alert_policy" "unforeseen" {
  project = var.project_id

  display_name          = "${var.name}: unforeseen error"
  severity              = "ERROR"
  combiner              = "OR"
  notification_channels = local.notification_channels

  conditions {
    display_name = "A message failed with an error that the code does not handle"

    condition_matched_log {
      filter           = "${local.message_log_filter} AND jsonPayload.outcome=\"retried\" AND jsonPayload.reason=\"unforeseen\""
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
    subject   = "${var.name}: unforeseen error"
    mime_type = "text/markdown"
    content   = <<-EOT
      `$${log.extracted_label.code}` while processing `$${log.extracted_label.resource}`. Pub/Sub redelivers the message. It becomes a dead letter after 100 attempts (about 16 hours).

      1. `code` is the class of the error and the line that raised it. If it started after a deployment, roll back to the previous version.
      2. If only one resource keeps failing, run `python3 manage.py preview` with its message. Then fix the code and deploy, or fix the document in commercetools.

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
    display_name = "Klaviyo does not have the list that [consent] names"

    condition_matched_log {
      filter = "${local.function_log_filter} AND jsonPayload.reason=\"consent_list\""
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
      `[consent] list` in sync.toml names a list that Klaviyo does not have. Customers are still synced, but nobody who says yes is subscribed.

      1. `python3 manage.py check` says whether the list exists. The list's id is part of its page's address in Klaviyo.
      2. Correct sync.toml and deploy. Customers who said yes in the meantime are subscribed when they next change, or by `python3 manage.py resync customer`.

      More: docs/failures.md and docs/consent.md in the repository.
    EOT
  }
}

locals {
  # How to fix a wrong key, with the names of this deployment: ready to paste.
  key_fixes = concat(
    [for name, secret in google_secret_manager_secret.own : "set `${lower(name)}` to the right value"],
    [for id in values(local.existing_secret_ids) : "add a version with the right value (`gcloud secrets versions add ${id} --project=${var.project_id} --data-file=-`)"],
  )
  key_fix = "${join(", or ", sort(local.key_fixes))}; then raise `secrets_version` (it is ${var.secrets_version} now) and apply. New instances read the new version; old ones shut down by themselves."
}
