# Alerts on the queue, the dead letters and failed deliveries. Each alert's text says what to do first; docs/failures.md
# has more.

locals {
  notification_channels = concat(
    sort(tolist(var.notification_channels)),
    [for channel in google_monitoring_notification_channel.email : channel.name],
  )

  push_subscription_filter        = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.push.name}\""
  dead_letter_subscription_filter = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.dead_letters.name}\""
  dead_letter_topic_filter        = "resource.type=\"pubsub_topic\" AND resource.labels.topic_id=\"${google_pubsub_topic.dead_letters.name}\""

  # Warn after 70 % of the retention (21 of 31 days), while there is still time to act.
  dead_letter_warning_days = floor(var.dead_letter_retention_days * 0.7)
}

resource "google_monitoring_notification_channel" "email" {
  for_each = var.alert_emails

  project      = var.project_id
  display_name = "${var.name}: ${each.value}"
  type         = "email"
  labels       = { email_address = each.value }

  depends_on = [google_project_service.required]
}

# A failed check is only a warning: Terraform still applies.
check "alerts_have_recipients" {
  assert {
    condition     = length(var.alert_emails) + length(var.notification_channels) > 0
    error_message = "Nobody is notified when an alert of ${var.name} fires: set alert_emails or notification_channels."
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
      filter          = "${local.dead_letter_topic_filter} AND metric.type=\"pubsub.googleapis.com/topic/send_request_count\""
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
    display_name = "Pub/Sub dead-lettered a message after 100 attempts"

    condition_threshold {
      filter          = "${local.push_subscription_filter} AND metric.type=\"pubsub.googleapis.com/subscription/dead_letter_message_count\""
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
    display_name = "A dead letter has been waiting for ${local.dead_letter_warning_days} days"

    condition_threshold {
      filter          = "${local.dead_letter_subscription_filter} AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      comparison      = "COMPARISON_GT"
      threshold_value = local.dead_letter_warning_days * 86400
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
      There are dead letters in `${google_pubsub_subscription.dead_letters.name}`. Klaviyo does not have their changes. They are lost after ${var.dead_letter_retention_days} days.

      1. Find out why: `python3 manage.py dead-letters list` shows the reason, resource and type of each. The log has a line with `outcome="dead-lettered"` for each one that the function dead-lettered.
      2. A dead letter without a reason was moved there by Pub/Sub after 100 failed attempts (about 16 hours). Search the log for its last lines with `outcome="retried"`.
      3. Fix the cause (in commercetools, Klaviyo, sync.toml or the code), then replay: `python3 manage.py dead-letters replay --all`. Processing a message twice is safe.

      All reasons and what to do about each: docs/failures.md in the repository.
    EOT
  }
}

resource "google_monitoring_alert_policy" "oldest_message" {
  project               = var.project_id
  display_name          = "${var.name}: messages are waiting"
  severity              = "WARNING"
  combiner              = "OR"
  notification_channels = local.notification_channels

  conditions {
    display_name = "The oldest message has been waiting for ${var.alert_oldest_message_seconds} s"

    condition_threshold {
      filter          = "${local.push_subscription_filter} AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
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
      Nothing is lost yet. Pub/Sub keeps messages for 7 days, and dead-letters a message after 100 failed attempts (about 16 hours).

      1. On the dashboard, check whether only the age is high, or also the number of messages. If only the age: one message keeps failing. Find its log lines with `outcome="retried"`; their `reason` says why.
      2. Many messages, and `reason="throttled"`: Klaviyo's rate limits are used up, typically by a bulk edit in the shop. The queue drains by itself. More instances do not help.
      3. Many messages, and `reason="klaviyo_denied"` or `"commercetools_denied"`: a key is wrong or lacks a scope. The alert "${var.name}: a key is refused" says what to do.
      4. Many messages, and no log lines: the function does not start, or Pub/Sub has no right to call it. Read its log, then run `python3 manage.py check`.

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

  # A 503 means one of two things: the function returned the message to Pub/Sub, or Cloud Run could not start the
  # function.
  conditions {
    display_name = "More than ${var.alert_failed_deliveries} failed deliveries in 5 minutes, for 10 minutes"

    condition_threshold {
      filter          = "${local.function_log_filter} AND metric.type=\"run.googleapis.com/request_count\" AND metric.labels.response_code_class=\"5xx\""
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
      filter          = "${local.function_log_filter} AND metric.type=\"run.googleapis.com/request_count\" AND metric.labels.response_code_class=\"5xx\" AND metric.labels.response_code!=\"503\""
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
    subject   = "${var.name}: the function is failing"
    mime_type = "text/markdown"
    content   = <<-EOT
      Pub/Sub keeps the messages and redelivers them. Nothing is lost for about 16 hours.

      1. Read the last panel of the dashboard. Lines with `outcome="retried"` give the `reason` and the backend's `status`.
      2. `throttled`, or a status of 500 or above: Klaviyo or commercetools has a problem (status.klaviyo.com, status.commercetools.com). Wait.
      3. `klaviyo_denied` or `commercetools_denied`: a key is wrong or lacks a scope. The alert "${var.name}: a key is refused" says what to do.
      4. `unforeseen`: a bug in the code; `code` names the place.
      5. No such lines: the function does not start (the log lists every missing or wrong setting), times out, or runs out of memory.

      More: docs/failures.md in the repository.
    EOT
  }
}
