# Metric and alerts made from the log line `reconciled`, which ends each comparison (jobs/__main__.py).

locals {
  has_drift            = var.reconcile != null
  reconcile_log_filter = "resource.type=\"cloud_run_job\" AND resource.labels.job_name=\"${var.name}-reconcile\" AND resource.labels.location=\"${var.region}\" AND jsonPayload.message=\"reconciled\""

  drift_metric = "${var.name}/drift"
  drift_runs   = "logging_googleapis_com:user_${replace(local.drift_metric, "/[^A-Za-z0-9]/", "_")}_count{monitored_resource=\"cloud_run_job\"}"

  # A cron schedule runs every day if its day of the month, month and day of the week are all stars.
  is_nightly = can(regex("^\\S+\\s+\\S+\\s+\\*\\s+\\*\\s+\\*$", try(trimspace(var.reconcile.schedule), "")))
}

resource "google_logging_metric" "drift" {
  count = local.has_drift ? 1 : 0

  project         = var.project_id
  name            = local.drift_metric
  description     = "Share of the shop's records that a comparison found wrong in Klaviyo, before it fixed them."
  filter          = local.reconcile_log_filter
  value_extractor = "EXTRACT(jsonPayload.drift)"

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "DISTRIBUTION"
    unit         = "1"
    display_name = "${var.name}: drift"
  }

  bucket_options {
    explicit_buckets {
      bounds = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
    }
  }

  depends_on = [google_project_service.required]
}

resource "google_monitoring_alert_policy" "drift" {
  count = local.has_drift ? 1 : 0

  project               = var.project_id
  display_name          = "${var.name}: drift"
  severity              = "ERROR"
  combiner              = "OR"
  notification_channels = local.notification_channels

  # One run with drift is normal: fixing it is what a comparison is for. Drift in run after run has a cause. The log
  # line has the number of consecutive runs (drifting_runs), so the alert can fire on a single line.
  conditions {
    display_name = "More drift than [reconcile] max_drift of sync.toml (0.1 %) in two runs in a row"

    condition_matched_log {
      filter           = "${local.reconcile_log_filter} AND jsonPayload.drifting_runs>=2"
      label_extractors = { drift = "EXTRACT(jsonPayload.drift)", runs = "EXTRACT(jsonPayload.drifting_runs)" }
    }
  }

  alert_strategy {
    auto_close = "604800s" # 7 days: the next line comes a night later

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    subject   = "${var.name}: Klaviyo keeps differing from the shop"
    mime_type = "text/markdown"
    content   = <<-EOT
      A share of $${log.extracted_label.drift} of the shop's records (0.001 is 0.1 %) was wrong in Klaviyo, and this is comparison number $${log.extracted_label.runs} in a row with too much drift: the real-time sync is losing changes. ${try(var.reconcile.fix, false) ? "The comparison has fixed what it could." : "Nothing was fixed, because `fix` is false."}

      1. What differs? `gcloud logging read '${local.reconcile_log_filter}' --project=${var.project_id} --freshness=3d --limit=3 --format=json` shows the counts per kind, the fields that differ, and the first 20 ids. `python3 manage.py reconcile --json` compares now and changes nothing.
      2. Do messages arrive, and are they processed? `python3 manage.py status` and `python3 manage.py check --topic ${google_pubsub_topic.messages.id}` show the queue, the health of the commercetools subscriptions, what they deliver, and both keys. A queue that is hours behind looks like drift.
      3. Are there dead letters? `python3 manage.py dead-letters list` shows them. Fix their cause and replay them.
      4. Does one field differ everywhere? Then sync.toml, a setting or this package changed, and Klaviyo still has the old values. Run `${local.reconcile_with_fix}` once.
      5. Do "extra" records come back or stay? Then somebody creates items in Klaviyo, or another shop writes into the account. docs/drift.md says when `--delete-extra` is safe.
      6. If nothing explains it: compare one record with `python3 manage.py preview product ID --diff`, and search the function's log for its messages.

      More: docs/drift.md and docs/on-call.md in the repository, "Klaviyo drifts from the shop".
    EOT
  }
}

locals {
  reconcile_with_fix = "gcloud run jobs execute ${var.name}-reconcile --region=${var.region} --project=${var.project_id} --args=reconcile,--fix"
}

# Fires if a comparison ended in the last eight days, but none in the last 49 hours. So a new deployment does not alert
# before its first comparison, and comparisons that were switched off on purpose alert for a week at most.
resource "google_monitoring_alert_policy" "no_comparison" {
  count = local.is_nightly ? 1 : 0

  project               = var.project_id
  display_name          = "${var.name}: no comparison for two nights"
  severity              = "WARNING"
  combiner              = "OR"
  notification_channels = local.notification_channels

  conditions {
    display_name = "No comparison has finished for 49 hours"

    condition_prometheus_query_language {
      query                     = "(sum(increase(${local.drift_runs}[8d])) > 0) unless (sum(increase(${local.drift_runs}[49h])) > 0)"
      duration                  = "0s"
      evaluation_interval       = "3600s"
      disable_metric_validation = true # the series does not exist before the first comparison
    }
  }

  alert_strategy {
    auto_close = "604800s"
  }

  documentation {
    subject   = "${var.name}: no comparison for two nights"
    mime_type = "text/markdown"
    content   = <<-EOT
      For two nights no comparison of Klaviyo with the shop has finished, so drift goes unnoticed. The real-time sync is not affected.

      1. How did the last runs end? `gcloud run jobs executions list --job=${var.name}-reconcile --region=${var.region} --project=${var.project_id}` lists them. The last lines of a run's log say why it stopped.
      2. No runs? `gcloud scheduler jobs describe ${var.name}-reconcile --location=${var.region} --project=${var.project_id}` shows whether the schedule is paused, and its last attempt.
      3. Start a comparison by hand: `gcloud run jobs execute ${var.name}-reconcile --region=${var.region} --project=${var.project_id}`.

      More: docs/drift.md in the repository.
    EOT
  }

  depends_on = [google_logging_metric.drift]
}
