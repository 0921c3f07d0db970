# The backfill job, next to the function or the container: its image, its state folder and its rights.

mock_provider "archive" {}
mock_provider "commercetools" {}
mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "4711" }
  }
}

override_resource {
  target = google_cloudfunctions2_function.sync
  values = { service_config = { uri = "https://klaviyo-sync-x-ew.a.run.app" } }
}

override_resource {
  target = google_service_account.jobs
  values = { email = "jobs@shop-sync" }
}

override_resource {
  target = google_secret_manager_secret_version.own
  values = { version = "7" }
}

variables {
  project_id         = "shop-sync"
  region             = "europe-west1"
  ct_api_url         = "https://api.europe-west1.gcp.commercetools.com"
  ct_auth_url        = "https://auth.europe-west1.gcp.commercetools.com"
  ct_project_id      = "my-shop"
  ct_api_client      = { client_id = "id-of-client", secret = "secret-of-client" }
  existing_secrets   = { klaviyo_auth_key = "klaviyo-key" }
  preferred_currency = "EUR"
  alert_emails       = ["ops@shop.example"]
  source_dir         = "tests/source"
}

run "none_by_default" {
  assert {
    condition     = length(google_cloud_run_v2_job.job) + length(google_storage_bucket.jobs) + length(google_service_account.jobs) + length(google_storage_bucket_iam_member.jobs_write) + length(google_secret_manager_secret_iam_member.jobs_read) + length(google_monitoring_alert_policy.job_stopped) + length(google_cloud_scheduler_job.start) + length(google_service_account.schedule) + length(google_cloud_run_v2_job_iam_member.schedule_starts) + length(google_monitoring_alert_policy.job_not_started) + length(google_logging_metric.drift) + length(google_monitoring_alert_policy.drift) + length(google_monitoring_alert_policy.no_comparison) == 0
    error_message = "No job resource is created by default."
  }

  assert {
    condition     = output.job_commands == {} && output.jobs_bucket == null
    error_message = "The outputs name no job and no bucket."
  }

  assert {
    condition     = !contains(keys(google_project_service.required), "cloudscheduler.googleapis.com") && !strcontains(google_monitoring_dashboard.sync.dashboard_json, "klaviyo-sync/drift")
    error_message = "Cloud Scheduler's API stays off, and the dashboard has no empty tile."
  }
}

run "a_backfill_next_to_the_function" {
  variables {
    backfill  = true
    job_image = "europe-west1-docker.pkg.dev/shop-sync/sync/klaviyo-sync:1"
  }

  assert {
    condition     = length(google_cloudfunctions2_function.sync) == 1 && length(google_cloud_run_v2_service.sync) == 0
    error_message = "The function is still a function, not a service."
  }

  assert {
    condition     = google_cloud_run_v2_job.job["backfill"].name == "klaviyo-sync-backfill" && google_cloud_run_v2_job.job["backfill"].template[0].template[0].containers[0].image == var.job_image
    error_message = "The job runs job_image."
  }

  assert {
    condition     = google_cloud_run_v2_job.job["backfill"].template[0].template[0].containers[0].command == tolist(["python", "-m", "jobs"]) && google_cloud_run_v2_job.job["backfill"].template[0].template[0].containers[0].args == tolist(["backfill"])
    error_message = "It runs `python -m jobs backfill`; an execution can override the arguments."
  }

  assert {
    condition     = google_cloud_run_v2_job.job["backfill"].template[0].task_count == 1 && google_cloud_run_v2_job.job["backfill"].template[0].parallelism == 1
    error_message = "Only one task works on the state."
  }

  assert {
    condition     = google_cloud_run_v2_job.job["backfill"].template[0].template[0].timeout == "${24 * 3600}s" && google_cloud_run_v2_job.job["backfill"].template[0].template[0].max_retries == 3
    error_message = "An attempt may take a day, and there are three retries."
  }

  assert {
    condition = { for env in google_cloud_run_v2_job.job["backfill"].template[0].template[0].containers[0].env : env.name => env.value if length(env.value_source) == 0 } == {
      BACKFILL_STATE       = "/state/backfill-state.json"
      CT_API_URL           = "https://api.europe-west1.gcp.commercetools.com"
      CT_AUTH_URL          = "https://auth.europe-west1.gcp.commercetools.com"
      CT_PROJECT_ID        = "my-shop"
      CT_SCOPE             = local.ct_scope
      GOOGLE_CLOUD_PROJECT = "shop-sync"
      PREFERRED_CURRENCY   = "EUR"
      SECRETS_VERSION      = "1"
    }
    error_message = "The settings are the function's, without those for messages, threads and the share of Klaviyo's limits."
  }

  assert {
    condition     = { for env in google_cloud_run_v2_job.job["backfill"].template[0].template[0].containers[0].env : env.name => "${env.value_source[0].secret_key_ref[0].secret}/${env.value_source[0].secret_key_ref[0].version}" if length(env.value_source) > 0 } == { CT_API_CLIENT = "klaviyo-sync-ct-api-client/7", KLAVIYO_AUTH_KEY = "klaviyo-key/latest" }
    error_message = "The secrets are the function's."
  }

  assert {
    condition     = startswith("/state/backfill-state.json", "${google_cloud_run_v2_job.job["backfill"].template[0].template[0].containers[0].volume_mounts[0].mount_path}/") && google_cloud_run_v2_job.job["backfill"].template[0].template[0].containers[0].volume_mounts[0].name == google_cloud_run_v2_job.job["backfill"].template[0].template[0].volumes[0].name
    error_message = "The state file is in the mounted folder."
  }

  assert {
    condition     = google_cloud_run_v2_job.job["backfill"].template[0].template[0].volumes[0].gcs[0].bucket == "shop-sync-klaviyo-sync-jobs" && toset(google_cloud_run_v2_job.job["backfill"].template[0].template[0].volumes[0].gcs[0].mount_options) == toset(["uid=10001", "gid=10001", "metadata-cache-ttl-secs=0"]) && google_cloud_run_v2_job.job["backfill"].template[0].template[0].volumes[0].gcs[0].read_only != true
    error_message = "The folder is the bucket, and the image's user may write to it."
  }

  assert {
    condition     = google_storage_bucket.jobs[0].uniform_bucket_level_access && google_storage_bucket.jobs[0].public_access_prevention == "enforced" && google_storage_bucket.jobs[0].location == "europe-west1" && google_storage_bucket.jobs[0].soft_delete_policy[0].retention_duration_seconds == 0
    error_message = "The bucket can't be public, is in the region, and keeps no old versions of the state."
  }

  # Rights

  assert {
    condition     = google_cloud_run_v2_job.job["backfill"].template[0].template[0].service_account == "jobs@shop-sync" && google_service_account.jobs[0].account_id == "klaviyo-sync-jobs"
    error_message = "It runs as its own account."
  }

  assert {
    condition     = google_storage_bucket_iam_member.jobs_write[0].bucket == google_storage_bucket.jobs[0].name && google_storage_bucket_iam_member.jobs_write[0].role == "roles/storage.objectUser" && google_storage_bucket_iam_member.jobs_write[0].member == "serviceAccount:jobs@shop-sync"
    error_message = "It may read and write objects in its bucket."
  }

  assert {
    condition     = { for name, member in google_secret_manager_secret_iam_member.jobs_read : name => "${member.secret_id} ${member.role} ${member.member}" } == { for name in ["CT_API_CLIENT", "KLAVIYO_AUTH_KEY"] : name => "${local.secret_ids[name]} roles/secretmanager.secretAccessor serviceAccount:jobs@shop-sync" }
    error_message = "It may read the two secrets."
  }

  assert {
    condition     = output.job_commands == { backfill = "gcloud run jobs execute klaviyo-sync-backfill --region=europe-west1 --project=shop-sync" } && output.jobs_bucket == "shop-sync-klaviyo-sync-jobs"
    error_message = "The outputs have the command that starts it, and its bucket."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.job_stopped[0].conditions[0].condition_matched_log[0].filter, "job_name=~\"^klaviyo-sync-(backfill)$\"") && length(google_monitoring_alert_policy.job_stopped[0].notification_channels) == 1 && google_monitoring_alert_policy.job_stopped[0].alert_strategy[0].notification_rate_limit[0].period == "3600s" && strcontains(google_monitoring_alert_policy.job_stopped[0].documentation[0].content, "gs://shop-sync-klaviyo-sync-jobs/backfill-state.json")
    error_message = "A run that stopped raises an alert, whose text says how to see its progress."
  }

  assert {
    condition     = length(google_cloud_scheduler_job.start) + length(google_service_account.schedule) == 0
    error_message = "It has no schedule."
  }
}

run "a_backfill_in_the_containers_image" {
  command = plan

  variables {
    backfill          = true
    image             = "europe-west1-docker.pkg.dev/shop-sync/sync/klaviyo-sync:2"
    extra_environment = { SYNC_CONFIG = "sync.shop.toml" }
  }

  assert {
    condition     = google_cloud_run_v2_job.job["backfill"].template[0].template[0].containers[0].image == var.image && google_cloud_run_v2_job.job["backfill"].template[0].template[0].containers[0].command[0] == "python"
    error_message = "The service and the job share one image; the job starts another program in it."
  }

  assert {
    condition     = contains([for env in google_cloud_run_v2_job.job["backfill"].template[0].template[0].containers[0].env : env.value if env.name == "SYNC_CONFIG"], "sync.shop.toml")
    error_message = "The job reads the same sync.toml."
  }
}

run "a_backfill_without_an_image" {
  command = plan

  variables {
    backfill = true
  }

  expect_failures = [var.backfill]
}

run "an_image_without_a_registry" {
  command = plan

  variables {
    job_image = "klaviyo-sync"
  }

  expect_failures = [var.job_image]
}
