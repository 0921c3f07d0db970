# What becomes of the line `reconciled`, with which each comparison ends (jobs/__main__.py).

locals {
  has_drift        = var.reconcile != null
  log_of_reconcile = "resource.type=\"cloud_run_job\" AND resource.labels.job_name=\"${var.name}-reconcile\" AND resource.labels.location=\"${var.region}\" AND jsonPayload.message=\"reconciled\""

  drift_metric = "${var.name}/drift"
  drift_runs   = "logging_googleapis_com:user_${replace(local.drift_metric, "/[^A-Za-z0-9]/", "_")}_count{monitored_resource=\"cloud_run_job\"}"

  # Cron says "every day" with stars for the day of the month, the month and the day of the week.
  is_nightly = can(regex("^\\S+\\s+\\S+\\s+\\*\\s+\\*\\s+\\*$", try(trimspace(var.reconcile.schedule), "")))
}

resource "google_logging_metric" "drift" {
  count = local.has_drift ? 1 : 0

  project         = var.project_id
  name            = local.drift_metric
  description     = "Part of the shop's records that a comparison found wrong in Klaviyo, before it mended them."
  filter          = local.log_of_reconcile
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

  # The line itself counts the runs, so one line is enough. Drift once is what a comparison is for; run after run it has a cause.
  conditions {
    display_name = "More than [reconcile] max_drift of sync.toml (0.1 %) two runs running"

    condition_matched_log {
      filter           = "${local.log_of_reconcile} AND jsonPayload.drifting_runs>=2"
      label_extractors = { drift = "EXTRACT(jsonPayload.drift)", runs = "EXTRACT(jsonPayload.drifting_runs)" }
    }
  }

  alert_strategy {
    auto_close = "604800s" # the next line comes a night later

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    subject   = "${var.name}: Klaviyo differs from the shop night after night"
    mime_type = "text/markdown"
    content   = <<-EOT
      $${log.extracted_label.drift} of the shop's records (0.001 is 0.1 %) were wrong in Klaviyo, in $${log.extracted_label.runs} comparisons running: real time loses something. ${try(var.reconcile.fix, false) ? "The comparison has mended what it could." : "Nothing is mended: `fix` is false."}

      1. What differs? `gcloud logging read '${local.log_of_reconcile}' --project=${var.project_id} --freshness=3d --limit=3 --format=json` has the numbers of each kind, the fields that differ, and the first 20 ids. `python3 manage.py reconcile --json` compares now, and changes nothing.
      2. Do messages come, and are they done? `python3 manage.py status` and `python3 manage.py check --topic ${google_pubsub_topic.messages.id}`: the queue, the health of the commercetools subscriptions, what they deliver, both keys. A queue that is hours behind looks like drift.
      3. Are there dead letters? `python3 manage.py dead-letters list`: mend their cause and replay them.
      4. The same field everywhere: sync.toml, a setting or this package changed, and Klaviyo has what it made before. Run `${local.reconcile_with_fix}` once.
      5. "extra" that stays: somebody makes items in Klaviyo, or another shop writes into the account. docs/drift.md says when `--delete-extra` is right.
      6. Nothing explains it: look at one id with `python3 manage.py preview product ID --diff`, and in the log of the function for its messages.

      More: docs/drift.md and docs/on-call.md in the repository, "Klaviyo drifts from the shop".
    EOT
  }
}

locals {
  reconcile_with_fix = "gcloud run jobs execute ${var.name}-reconcile --region=${var.region} --project=${var.project_id} --args=reconcile,--fix"
}

# Where comparisons have ended within eight days, but not within two nights. So a new deployment is not waited for, and what was
# switched off on purpose is told of for a week at most.
resource "google_monitoring_alert_policy" "no_comparison" {
  count = local.is_nightly ? 1 : 0

  project               = var.project_id
  display_name          = "${var.name}: no comparison for two nights"
  severity              = "WARNING"
  combiner              = "OR"
  notification_channels = local.notification_channels

  conditions {
    display_name = "No comparison has ended for 49 hours"

    condition_prometheus_query_language {
      query                     = "(sum(increase(${local.drift_runs}[8d])) > 0) unless (sum(increase(${local.drift_runs}[49h])) > 0)"
      duration                  = "0s"
      evaluation_interval       = "3600s"
      disable_metric_validation = true # there is no such series before the first night
    }
  }

  alert_strategy {
    auto_close = "604800s"
  }

  documentation {
    subject   = "${var.name}: no comparison for two nights"
    mime_type = "text/markdown"
    content   = <<-EOT
      Nobody has looked for two nights whether Klaviyo is true to the shop.

      1. How did the last runs end? `gcloud run jobs executions list --job=${var.name}-reconcile --region=${var.region} --project=${var.project_id}`; the last lines of a run's log say why it stopped.
      2. No runs? `gcloud scheduler jobs describe ${var.name}-reconcile --location=${var.region} --project=${var.project_id}` says whether the schedule is paused, and when it was last tried.
      3. Run it by hand: `gcloud run jobs execute ${var.name}-reconcile --region=${var.region} --project=${var.project_id}`.

      More: docs/drift.md in the repository.
    EOT
  }

  depends_on = [google_logging_metric.drift]
}
