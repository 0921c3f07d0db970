# Jobs with a schedule: the nightly comparison, and updates for prices that become valid or expire.

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
  target = google_service_account.schedule
  values = { email = "cron@shop-sync" }
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
  job_image          = "europe-west1-docker.pkg.dev/shop-sync/sync/klaviyo-sync:1"
}

run "comparison_and_prices" {
  variables {
    reconcile      = {}
    price_validity = true
  }

  assert {
    condition     = keys(google_cloud_run_v2_job.job) == ["prices", "reconcile"] && google_cloud_run_v2_job.job["reconcile"].name == "klaviyo-sync-reconcile" && google_cloud_run_v2_job.job["prices"].name == "klaviyo-sync-prices" && alltrue([for job in google_cloud_run_v2_job.job : job.template[0].template[0].containers[0].image == var.job_image && job.template[0].template[0].service_account == "jobs@shop-sync"])
    error_message = "Both jobs run job_image as the jobs' account."
  }

  assert {
    condition     = google_cloud_run_v2_job.job["reconcile"].template[0].template[0].containers[0].args == tolist(["reconcile", "--fix"]) && google_cloud_run_v2_job.job["prices"].template[0].template[0].containers[0].args == tolist(["prices", "due", "--since=1h", "--errors=/state/prices-errors.jsonl"])
    error_message = "One compares and fixes everything, the other looks back one hour."
  }

  assert {
    condition     = contains([for env in google_cloud_run_v2_job.job["reconcile"].template[0].template[0].containers[0].env : env.value if env.name == "RECONCILE_STATE"], "/state/reconcile-state.json") && length([for job in google_cloud_run_v2_job.job : job if job.template[0].template[0].volumes[0].gcs[0].bucket == "shop-sync-klaviyo-sync-jobs"]) == 2
    error_message = "Files that outlive a run are in the bucket."
  }

  assert {
    condition     = google_cloud_run_v2_job.job["reconcile"].template[0].template[0].timeout == "${23 * 3600}s" && google_cloud_run_v2_job.job["reconcile"].template[0].template[0].max_retries == 1 && google_cloud_run_v2_job.job["prices"].template[0].template[0].timeout == "600s" && google_cloud_run_v2_job.job["prices"].template[0].template[0].max_retries == 0
    error_message = "A run times out before the next one begins, and only the comparison is retried."
  }

  # Schedules, and their rights

  assert {
    condition     = { for name, job in google_cloud_scheduler_job.start : name => "${job.schedule} ${job.time_zone}" } == { prices = "*/15 * * * * Etc/UTC", reconcile = "0 3 * * * Etc/UTC" } && alltrue([for job in google_cloud_scheduler_job.start : job.region == "europe-west1" && job.retry_config[0].retry_count == 3])
    error_message = "The comparison runs nightly, prices run every 15 minutes, and a start that fails is retried."
  }

  assert {
    condition     = alltrue([for name, job in google_cloud_scheduler_job.start : job.http_target[0].http_method == "POST" && job.http_target[0].uri == "https://run.googleapis.com/v2/projects/shop-sync/locations/europe-west1/jobs/klaviyo-sync-${name}:run" && job.http_target[0].oauth_token[0].service_account_email == "cron@shop-sync"])
    error_message = "Each schedule starts the job of the same name, as the schedules' account."
  }

  assert {
    condition     = { for name, right in google_cloud_run_v2_job_iam_member.schedule_starts : name => "${right.name} ${right.location} ${right.role} ${right.member}" } == { for name in ["prices", "reconcile"] : name => "klaviyo-sync-${name} europe-west1 roles/run.invoker serviceAccount:cron@shop-sync" }
    error_message = "The schedules' account may start these two jobs, and has no other right."
  }

  assert {
    condition     = google_service_account.schedule[0].account_id == "klaviyo-sync-cron" && contains(keys(google_project_service.required), "cloudscheduler.googleapis.com")
    error_message = "The account exists, and the API is on."
  }

  assert {
    condition     = output.job_commands == { for name in ["prices", "reconcile"] : name => "gcloud run jobs execute klaviyo-sync-${name} --region=europe-west1 --project=shop-sync" }
    error_message = "The outputs have the command that starts each job by hand."
  }

  # The metric and the alerts

  assert {
    condition     = google_logging_metric.drift[0].name == "klaviyo-sync/drift" && google_logging_metric.drift[0].filter == "resource.type=\"cloud_run_job\" AND resource.labels.job_name=\"klaviyo-sync-reconcile\" AND resource.labels.location=\"europe-west1\" AND jsonPayload.message=\"reconciled\"" && google_logging_metric.drift[0].value_extractor == "EXTRACT(jsonPayload.drift)"
    error_message = "The metric uses this job's log line only."
  }

  assert {
    condition     = google_monitoring_alert_policy.drift[0].conditions[0].condition_matched_log[0].filter == "${google_logging_metric.drift[0].filter} AND jsonPayload.drifting_runs>=2" && google_monitoring_alert_policy.drift[0].severity == "ERROR" && alltrue([for text in ["0.1 %", "manage.py status", "manage.py check --topic", "dead-letters list", "--args=reconcile,--fix", "docs/drift.md"] : strcontains(google_monitoring_alert_policy.drift[0].documentation[0].content, text)])
    error_message = "Drift in two runs in a row raises an alert that says what to do."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.drift[0].documentation[0].content, "has fixed what it could")
    error_message = "The alert says that differences were fixed."
  }

  assert {
    condition     = google_monitoring_alert_policy.no_comparison[0].conditions[0].condition_prometheus_query_language[0].query == "(sum(increase(logging_googleapis_com:user_klaviyo_sync_drift_count{monitored_resource=\"cloud_run_job\"}[8d])) > 0) unless (sum(increase(logging_googleapis_com:user_klaviyo_sync_drift_count{monitored_resource=\"cloud_run_job\"}[49h])) > 0)"
    error_message = "Comparisons that used to run and stopped raise an alert after two nights."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.job_stopped[0].conditions[0].condition_matched_log[0].filter, "^klaviyo-sync-(prices|reconcile)$") && endswith(google_monitoring_alert_policy.job_stopped[0].conditions[0].condition_matched_log[0].filter, " AND ((jsonPayload.why:* AND NOT jsonPayload.message=~\"^(reconcile|prices) ended$\") OR (severity>=ERROR AND NOT jsonPayload.message=\"reconciled\"))")
    error_message = "A run that stopped raises this alert; a run that finished with drift is left to the drift alert."
  }

  assert {
    condition     = google_monitoring_alert_policy.job_not_started[0].conditions[0].condition_matched_log[0].filter == "resource.type=\"cloud_scheduler_job\" AND resource.labels.job_id=~\"^klaviyo-sync-(prices|reconcile)$\" AND resource.labels.location=\"europe-west1\" AND severity>=ERROR"
    error_message = "A run that Cloud Scheduler could not start raises an alert."
  }

  assert {
    condition     = alltrue([for policy in [google_monitoring_alert_policy.drift[0], google_monitoring_alert_policy.no_comparison[0], google_monitoring_alert_policy.job_not_started[0]] : length(policy.notification_channels) == 1 && policy.documentation[0].subject != ""])
    error_message = "Each alert has a recipient and a subject."
  }

  assert {
    condition     = strcontains(google_monitoring_dashboard.sync.dashboard_json, "logging.googleapis.com/user/klaviyo-sync/drift\\\"") && length(jsondecode(google_monitoring_dashboard.sync.dashboard_json).mosaicLayout.tiles) == 13
    error_message = "The dashboard has a tile for drift."
  }
}

run "a_comparison_with_its_own_schedule" {
  command = plan

  variables {
    reconcile = { schedule = "30 4 * * 0", time_zone = "Europe/Berlin", only = ["variants", "items"], fix = false }
  }

  assert {
    condition     = google_cloud_run_v2_job.job["reconcile"].template[0].template[0].containers[0].args == tolist(["reconcile", "--only=items", "--only=variants"])
    error_message = "It compares only the given kinds, and fixes nothing."
  }

  assert {
    condition     = google_cloud_scheduler_job.start["reconcile"].schedule == "30 4 * * 0" && google_cloud_scheduler_job.start["reconcile"].time_zone == "Europe/Berlin" && length(google_cloud_scheduler_job.start) == 1
    error_message = "It runs on the given schedule, in the given time zone."
  }

  assert {
    condition     = length(google_monitoring_alert_policy.no_comparison) == 0
    error_message = "A weekly comparison does not raise the alert on missing nights."
  }
}

run "prices_alone" {
  command = plan

  variables {
    price_validity = true
  }

  assert {
    condition     = keys(google_cloud_run_v2_job.job) == ["prices"] && length(google_logging_metric.drift) + length(google_monitoring_alert_policy.drift) + length(google_monitoring_alert_policy.no_comparison) == 0 && length(google_monitoring_alert_policy.job_not_started) == 1
    error_message = "Without a comparison there is no drift metric and no alert on it."
  }
}

run "without_an_image" {
  command = plan

  variables {
    job_image      = null
    reconcile      = {}
    price_validity = true
  }

  expect_failures = [var.reconcile, var.price_validity]
}

run "no_schedule" {
  command = plan

  variables {
    reconcile = { schedule = "" }
  }

  expect_failures = [var.reconcile]
}

run "a_schedule_that_is_not_cron" {
  command = plan

  variables {
    reconcile = { schedule = "every day 03:00" }
  }

  expect_failures = [var.reconcile]
}

run "an_unknown_kind" {
  command = plan

  variables {
    reconcile = { only = ["orders"] }
  }

  expect_failures = [var.reconcile]
}

run "an_unknown_time_zone" {
  command = plan

  variables {
    reconcile = { time_zone = "+01:00" }
  }

  expect_failures = [var.reconcile]
}

run "a_state_file_elsewhere" {
  command = plan

  variables {
    extra_environment = { RECONCILE_STATE = "/tmp/state.json" }
  }

  expect_failures = [var.extra_environment]
}
