# What somebody must look at. The text of each alert says what to do; docs/failures.md says more.

locals {
  notification_channels = concat(
    sort(tolist(var.notification_channels)),
    [for channel in google_monitoring_notification_channel.email : channel.name],
  )

  of_push_subscription        = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.push.name}\""
  of_dead_letter_subscription = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.dead_letters.name}\""
  of_dead_letter_topic        = "resource.type=\"pubsub_topic\" AND resource.labels.topic_id=\"${google_pubsub_topic.dead_letters.name}\""

  # 21 of 31 days: there is time left to act.
  letters_wait_days = floor(var.dead_letter_retention_days * 0.7)
}

resource "google_monitoring_notification_channel" "email" {
  for_each = var.alert_emails

  project      = var.project_id
  display_name = "${var.name}: ${each.value}"
  type         = "email"
  labels       = { email_address = each.value }

  depends_on = [google_project_service.required]
}

# Terraform warns, and goes on.
check "somebody_is_told" {
  assert {
    condition     = length(var.alert_emails) + length(var.notification_channels) > 0
    error_message = "Nobody hears of an alert of ${var.name}: set alert_emails or notification_channels."
  }
}

resource "google_monitoring_alert_policy" "dead_letters" {
  project               = var.project_id
  display_name          = "${var.name}: dead letters"
  severity              = "ERROR"
  combiner              = "OR"
  notification_channels = local.notification_channels

  conditions {
    display_name = "The function could not sync a message"

    condition_threshold {
      filter          = "${local.of_dead_letter_topic} AND metric.type=\"pubsub.googleapis.com/topic/send_request_count\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  conditions {
    display_name = "Pub/Sub gave up on a message after 100 attempts"

    condition_threshold {
      filter          = "${local.of_push_subscription} AND metric.type=\"pubsub.googleapis.com/subscription/dead_letter_message_count\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  conditions {
    display_name = "A dead letter has been waiting for ${local.letters_wait_days} days"

    condition_threshold {
      filter          = "${local.of_dead_letter_subscription} AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      comparison      = "COMPARISON_GT"
      threshold_value = local.letters_wait_days * 86400
      duration        = "300s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    subject   = "${var.name}: messages that can't be synced"
    mime_type = "text/markdown"
    content   = <<-EOT
      Messages were put aside in `${google_pubsub_subscription.dead_letters.name}`. Klaviyo lacks what they would have written. They are lost after ${var.dead_letter_retention_days} days.

      1. See why: `manage.py dead-letters list` shows them with reason, resource and type; the log has a line `outcome="dead-lettered"` for each that the function put aside.
      2. Letters without a reason come from Pub/Sub itself, after 100 attempts in about 16 hours: find their last lines with `outcome="retried"`.
      3. Mend the cause in commercetools, Klaviyo, sync.toml or the code, then replay the letters. Every message may run twice.

      Reasons and remedies: docs/failures.md in the repository.
    EOT
  }
}

resource "google_monitoring_alert_policy" "oldest_message" {
  project               = var.project_id
  display_name          = "${var.name}: messages wait"
  severity              = "WARNING"
  combiner              = "OR"
  notification_channels = local.notification_channels

  conditions {
    display_name = "The oldest message has been waiting for ${var.alert_oldest_message_seconds} s"

    condition_threshold {
      filter          = "${local.of_push_subscription} AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      comparison      = "COMPARISON_GT"
      threshold_value = var.alert_oldest_message_seconds
      duration        = "300s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    subject   = "${var.name}: Klaviyo is behind the shop"
    mime_type = "text/markdown"
    content   = <<-EOT
      Nothing is lost yet: Pub/Sub keeps messages for 7 days, and gives up on one after 100 attempts (about 16 hours).

      1. On the dashboard, is only the age high, or the number of messages too? One old message is one that keeps failing: look for its `outcome="retried"` lines and their `reason`.
      2. Many messages and `reason="throttled"`: Klaviyo's limits are reached; a bulk edit in the shop does that. It drains by itself. More instances do not help.
      3. Many messages and `reason="klaviyo_denied"` or `"commercetools_denied"`: a key is wrong or lacks a scope. The alert "${var.name}: a key is refused" says what to do.
      4. Many messages and no log lines: the function does not start, or Pub/Sub may not call it. See its log, then `manage.py check`.

      More: docs/failures.md in the repository.
    EOT
  }
}

resource "google_monitoring_alert_policy" "errors" {
  project               = var.project_id
  display_name          = "${var.name}: errors"
  severity              = "WARNING"
  combiner              = "OR"
  notification_channels = local.notification_channels

  # 503 is how the function gives a message back, and how Cloud Run says that it does not start.
  conditions {
    display_name = "More than ${var.alert_failed_deliveries} failed deliveries in 5 minutes, for 10 minutes"

    condition_threshold {
      filter          = "${local.log_of_function} AND metric.type=\"run.googleapis.com/request_count\" AND metric.labels.response_code_class=\"5xx\""
      comparison      = "COMPARISON_GT"
      threshold_value = var.alert_failed_deliveries
      duration        = "600s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  conditions {
    display_name = "The function crashed, timed out or ran out of memory"

    condition_threshold {
      filter          = "${local.log_of_function} AND metric.type=\"run.googleapis.com/request_count\" AND metric.labels.response_code_class=\"5xx\" AND metric.labels.response_code!=\"503\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    subject   = "${var.name}: the function fails"
    mime_type = "text/markdown"
    content   = <<-EOT
      The messages stay in Pub/Sub and are delivered again: nothing is lost for about 16 hours.

      1. See the last panel of the dashboard: the lines with `outcome="retried"` say the reason and the backend's status.
      2. `throttled`, or a status of 500 and above: Klaviyo or commercetools has trouble (status.klaviyo.com, status.commercetools.com). Wait.
      3. `klaviyo_denied` or `commercetools_denied`: a key is wrong or lacks a scope. The alert "${var.name}: a key is refused" says what to do.
      4. `unforeseen`: a fault in the code; `code` names the place.
      5. No such lines: the function does not start (a setting is missing: the log lists every problem), times out, or needs more memory.

      More: docs/failures.md in the repository.
    EOT
  }
}
