# Jobs: `python -m jobs NAME` as a Cloud Run job, in an image built from the Dockerfile. What has to outlive a run lies in a
# bucket, which a job sees as a folder. Those with a schedule are started by schedules.tf, the others by hand.

locals {
  state_folder = "/state"

  # `arguments` are those of `python -m jobs`, `environment` is on top of the function's. `timeout` is of each attempt, in
  # seconds, and `max_retries` the attempts after the first: "done with errors" and "something differs" end with 0.
  jobs = { for name, job in {
    backfill = {
      is_on       = var.backfill
      arguments   = ["backfill"]
      environment = { BACKFILL_STATE = "${local.state_folder}/backfill-state.json" } # its errors file lies beside it
      timeout     = 86400
      max_retries = 3 # an attempt goes on where the one before was cut off
      schedule    = null
      time_zone   = null
    }

    # A night's run ends before the next begins. Where two overlap, e.g. one that was started by hand, neither does harm: both
    # mend by the live handlers, under their locks, and the state is the one's that ends last.
    reconcile = {
      is_on = var.reconcile != null
      arguments = concat(
        ["reconcile"],
        [for kind in try(var.reconcile.only, []) : "--only=${kind}"],
        try(var.reconcile.fix, false) ? ["--fix"] : [],
      )
      environment = { RECONCILE_STATE = "${local.state_folder}/reconcile-state.json" } # likewise
      timeout     = 82800
      max_retries = 1 # it goes on with the kinds that are left; what fails twice needs somebody, or the next night
      schedule    = try(var.reconcile.schedule, null)
      time_zone   = try(var.reconcile.time_zone, null)
    }

    # It keeps no state, but looks back an hour: what a run could not do, each of the next three does.
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

  # A job answers no messages, puts no letters aside, and has a share and threads of its own.
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
  force_destroy               = true # a run that lost its state begins anew, and sends nothing twice

  # The state is written every few seconds: each version before would be kept, and paid for, for a week.
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
  deletion_protection = false # `terraform destroy` takes it away, as it does the function

  template {
    # Two tasks would do the same, on one state.
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
          limits = { cpu = "1", memory = "1Gi" } # some of it is the mounted bucket's
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

        # The folder is root's unless told otherwise, and the image's user is another. Nothing is cached, as two runs
        # recognise each other by what they read there.
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
  display_name          = "${var.name}: a job needs somebody"
  severity              = "WARNING"
  combiner              = "OR"
  notification_channels = local.notification_channels

  # `why` is in the last line of a run that was stopped, or that could not do all of it. What a comparison leaves undone it
  # finds again and counts as drift, and what a run of `prices` does the next does again: they are told of if they stop.
  conditions {
    display_name = "A run stopped, or a backfill left something undone"

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
    subject   = "${var.name}: a job needs somebody"
    mime_type = "text/markdown"
    content   = <<-EOT
      `$${log.extracted_label.job}`: $${log.extracted_label.why}

      1. "Interrupted": Google moved the container. A backfill is started again by itself, three times at most, a comparison once, and goes on where it was. `prices` runs again within 15 minutes.
      2. Anything else says what to do. Then start the job again with the same arguments: it goes on where it was.
      3. How far a backfill is: `gcloud storage cat gs://${google_storage_bucket.jobs[0].name}/backfill-state.json | python3 manage.py backfill status --state -`.

      More: docs/backfill.md and docs/drift.md in the repository.
    EOT
  }
}
