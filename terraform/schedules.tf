# Cloud Scheduler starts the jobs that have a schedule, even if the previous run has not finished yet: see jobs.tf for
# why that is safe.

locals {
  scheduled     = { for name, job in local.jobs : name => job if job.schedule != null }
  has_schedules = length(local.scheduled) > 0
}

resource "google_service_account" "schedule" {
  count = local.has_schedules ? 1 : 0

  project      = var.project_id
  account_id   = "${var.name}-cron"
  display_name = "${var.name}: schedules"
  description  = "Starts the jobs that have a schedule, without changing their arguments."

  depends_on = [google_project_service.required]
}

# It may start these jobs with their own arguments only: to pass others it would need run.jobs.runWithOverrides.
resource "google_cloud_run_v2_job_iam_member" "schedule_starts" {
  for_each = local.scheduled

  project  = var.project_id
  name     = google_cloud_run_v2_job.job[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = "serviceAccount:${google_service_account.schedule[0].email}"
}

resource "google_cloud_scheduler_job" "start" {
  for_each = local.scheduled

  project     = var.project_id
  region      = var.region
  name        = google_cloud_run_v2_job.job[each.key].name
  description = "Starts the Cloud Run job of the same name."
  schedule    = each.value.schedule
  time_zone   = each.value.time_zone

  # Retries the call that starts the job, not the job itself. If the response is lost the job starts twice, which does
  # no harm.
  retry_config {
    retry_count = 3
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/projects/${var.project_id}/locations/${var.region}/jobs/${google_cloud_run_v2_job.job[each.key].name}:run"

    oauth_token {
      service_account_email = google_service_account.schedule[0].email
    }
  }

  depends_on = [google_cloud_run_v2_job_iam_member.schedule_starts]
}

resource "google_monitoring_alert_policy" "job_not_started" {
  count = local.has_schedules ? 1 : 0

  project               = var.project_id
  display_name          = "${var.name}: a job was not started"
  severity              = "WARNING"
  combiner              = "OR"
  notification_channels = local.notification_channels

  conditions {
    display_name = "Cloud Scheduler could not start a job"

    condition_matched_log {
      filter           = "resource.type=\"cloud_scheduler_job\" AND resource.labels.job_id=~\"^${var.name}-(${join("|", keys(local.scheduled))})$\" AND resource.labels.location=\"${var.region}\" AND severity>=ERROR"
      label_extractors = { job = "EXTRACT(resource.labels.job_id)", status = "EXTRACT(jsonPayload.status)" }
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    subject   = "${var.name}: a job was not started"
    mime_type = "text/markdown"
    content   = <<-EOT
      Cloud Scheduler could not start `$${log.extracted_label.job}`: $${log.extracted_label.status}. It retries up to three times.

      1. `PERMISSION_DENIED`: ${google_service_account.schedule[0].email} lacks roles/run.invoker on the job, or Cloud Scheduler's own service agent may not act as that account. Run `terraform apply`.
      2. `NOT_FOUND`: the job was deleted. Run `terraform apply`.
      3. Once it is fixed, or if you can't wait, start the job by hand: `gcloud run jobs execute $${log.extracted_label.job} --region=${var.region} --project=${var.project_id}`.

      More: docs/deploy.md in the repository, "Jobs with a schedule".
    EOT
  }
}
