# Cloud Run jobs: each runs `python -m jobs NAME` in an image built from the Dockerfile. Files that must outlive a run
# are kept in a bucket, which is mounted as a folder. schedules.tf starts the jobs that have a schedule; the others are
# started by hand.

locals {
  state_folder = "/state"

  # `arguments` go to `python -m jobs`; `environment` is added to the function's. `timeout` is per attempt, in seconds.
  # `max_retries` counts the attempts after the first one. A run that finished with errors or found differences exits
  # with 0, so it is not retried.
  jobs = { for name, job in {
    backfill = {
      is_on       = var.backfill
      arguments   = ["backfill"]
      environment = { BACKFILL_STATE = "${local.state_folder}/backfill-state.json" } # the errors file is written next to it
      timeout     = 86400
      max_retries = 3 # a new attempt resumes where the last one was cut off
      schedule    = null
      time_zone   = null
    }

    # The timeout ends a nightly run before the next one begins. If two runs overlap anyway, e.g. because one was
    # started by hand, they do no harm: both fix differences through the live handlers, and the run that ends last
    # writes the state file.
    reconcile = {
      is_on = var.reconcile != null
      arguments = concat(
        ["reconcile"],
        [for kind in try(var.reconcile.only, []) : "--only=${kind}"],
        try(var.reconcile.fix, false) ? ["--fix"] : [],
      )
      environment = { RECONCILE_STATE = "${local.state_folder}/reconcile-state.json" } # the errors file is written next to it
      timeout     = 82800
      max_retries = 1 # the retry resumes with the remaining kinds; after that a person or the next night has to try again
      schedule    = try(var.reconcile.schedule, null)
      time_zone   = try(var.reconcile.time_zone, null)
    }

    # It keeps no state but looks back one hour, so the next three runs retry whatever a run could not do.
    prices = {
      is_on       = var.price_validity
      arguments   = ["prices", "due", "--since=1h", "--errors=${local.state_folder}/prices-errors.jsonl"]
      environment = {}
      timeout     = 600
      max_retries = 0
      schedule    = "*/15 * * * *"
      time_zone   = "Etc/UTC"
    }
  } : name => job if job.is_on }
  has_jobs = length(local.jobs) > 0

  job_image = try(coalesce(var.job_image, var.image), null)

  # A job handles no messages and publishes no dead letters, and it has its own options for its quota share and threads.
  job_environment = {
    for name, value in local.environment : name => value
    if !contains(["DEAD_LETTER_TOPIC", "KLAVIYO_LIMIT_SHARE", "THREADS"], name)
  }
}

resource "google_service_account" "jobs" {
  count = local.has_jobs ? 1 : 0

  project      = var.project_id
  account_id   = "${var.name}-jobs"
  display_name = "${var.name}: jobs"
  description  = "Reads the two secrets, and reads and writes the jobs' bucket."

  depends_on = [google_project_service.required]
}

resource "google_secret_manager_secret_iam_member" "jobs_read" {
  for_each = local.has_jobs ? local.secret_ids : {}

  project   = var.project_id
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${google_service_account.jobs[0].email}"
}

resource "google_storage_bucket" "jobs" {
  count = local.has_jobs ? 1 : 0

  project  = var.project_id
  name     = "${var.project_id}-${var.name}-jobs"
  location = var.region
  labels   = var.labels

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # losing the state is safe: the next run starts from the beginning, and nothing counts twice in Klaviyo

  # The state is overwritten every few seconds. With soft delete every old version would be stored and billed for a
  # week.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  depends_on = [google_project_service.required]
}

resource "google_storage_bucket_iam_member" "jobs_write" {
  count = local.has_jobs ? 1 : 0

  bucket = google_storage_bucket.jobs[0].name
  role   = "roles/storage.objectUser"
  member = "serviceAccount:${google_service_account.jobs[0].email}"
}

resource "google_cloud_run_v2_job" "job" {
  for_each = local.jobs

  project             = var.project_id
  name                = "${var.name}-${each.key}"
  location            = var.region
  labels              = var.labels
  deletion_protection = false # so that `terraform destroy` can delete it, like the function

  template {
    # Two tasks would do the same work on the same state file.
    task_count  = 1
    parallelism = 1

    template {
      service_account = google_service_account.jobs[0].email
      timeout         = "${each.value.timeout}s"
      max_retries     = each.value.max_retries

      containers {
        image   = local.job_image
        command = ["python", "-m", "jobs"]
        args    = each.value.arguments

        resources {
          limits = { cpu = "1", memory = "1Gi" } # the mounted bucket uses part of the memory
        }

        dynamic "env" {
          for_each = merge(local.job_environment, each.value.environment)

          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = local.secret_ids

          content {
            name = env.key

            value_source {
              secret_key_ref {
                secret  = env.value
                version = local.secret_versions[env.key]
              }
            }
          }
        }

        volume_mounts {
          name       = "state"
          mount_path = local.state_folder
        }
      }

      volumes {
        name = "state"

        # By default root owns the mounted folder; uid and gid give it to the image's user. Nothing is cached, because
        # two runs detect each other by what they read in the state file.
        gcs {
          bucket        = google_storage_bucket.jobs[0].name
          mount_options = ["uid=10001", "gid=10001", "metadata-cache-ttl-secs=0"]
        }
      }
    }
  }

  depends_on = [
    google_secret_manager_secret_iam_member.jobs_read,
    google_storage_bucket_iam_member.jobs_write,
  ]
}

resource "google_monitoring_alert_policy" "job_stopped" {
  count = local.has_jobs ? 1 : 0

  project               = var.project_id
  display_name          = "${var.name}: a job needs attention"
  severity              = "WARNING"
  combiner              = "OR"
  notification_channels = local.notification_channels

  # `why` is in the last log line of a run that was stopped or left something undone. A comparison or `prices` run
  # alerts only if it was stopped: what a comparison leaves undone the next one finds again and counts as drift, and the
  # next `prices` run tries again anyway.
  conditions {
    display_name = "A run stopped, or a backfill could not do everything"

    condition_matched_log {
      filter           = "resource.type=\"cloud_run_job\" AND resource.labels.job_name=~\"^${var.name}-(${join("|", keys(local.jobs))})$\" AND resource.labels.location=\"${var.region}\" AND ((jsonPayload.why:* AND NOT jsonPayload.message=~\"^(reconcile|prices) ended$\") OR (severity>=ERROR AND NOT jsonPayload.message=\"reconciled\"))"
      label_extractors = { job = "EXTRACT(resource.labels.job_name)", why = "EXTRACT(jsonPayload.why)" }
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    subject   = "${var.name}: a job needs attention"
    mime_type = "text/markdown"
    content   = <<-EOT
      `$${log.extracted_label.job}`: $${log.extracted_label.why}

      1. "Interrupted" means that Google moved the container. Cloud Run restarts a backfill up to three times and a comparison once; both resume where they stopped. `prices` runs again within 15 minutes.
      2. Any other text says what to do. Afterwards start the job again with the same arguments: it resumes where it stopped.
      3. To see the progress of a backfill: `gcloud storage cat gs://${google_storage_bucket.jobs[0].name}/backfill-state.json | python3 manage.py backfill status --state -`.

      More: docs/backfill.md and docs/drift.md in the repository.
    EOT
  }
}
