# With an image, a Cloud Run service replaces the function, with the same settings, rights and queue.

mock_provider "archive" {}
mock_provider "commercetools" {}
mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "4711" }
  }
}

override_resource {
  target = google_cloud_run_v2_service.sync
  values = { uri = "https://klaviyo-sync-container-x-ew.a.run.app" }
}

override_resource {
  target = google_pubsub_topic.messages
  values = { id = "projects/shop-sync/topics/klaviyo-sync" }
}

override_resource {
  target = google_pubsub_topic.dead_letters
  values = { id = "projects/shop-sync/topics/klaviyo-sync-dead-letters" }
}

override_resource {
  target = google_service_account.runtime
  values = { email = "runtime@shop-sync" }
}

override_resource {
  target = google_service_account.push
  values = { email = "push@shop-sync" }
}

override_resource {
  target = google_secret_manager_secret_version.own
  values = { version = "7" }
}

variables {
  project_id        = "shop-sync"
  region            = "europe-west1"
  ct_api_url        = "https://api.europe-west1.gcp.commercetools.com"
  ct_auth_url       = "https://auth.europe-west1.gcp.commercetools.com"
  ct_project_id     = "my-shop"
  ct_api_client     = { client_id = "id-of-client", secret = "secret-of-client" }
  existing_secrets  = { klaviyo_auth_key = "klaviyo-key" }
  secrets_version   = 3
  min_instances     = 1
  image             = "europe-west1-docker.pkg.dev/shop-sync/sync/klaviyo-sync@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  extra_environment = { SYNC_CONFIG = "sync.shop.toml" }
  alert_emails      = ["ops@shop.example"]
  source_dir        = "tests/nowhere"
}

run "a_service_replaces_the_function" {
  assert {
    condition     = length(google_cloudfunctions2_function.sync) + length(google_storage_bucket.source) + length(google_storage_bucket_object.source) + length(google_service_account.build) + length(google_project_iam_member.build) + length(data.archive_file.source) == 0
    error_message = "Nothing is built, and there is no build account."
  }

  assert {
    condition     = google_cloud_run_v2_service.sync[0].template[0].containers[0].image == var.image
    error_message = "The service runs the image."
  }

  assert {
    condition = { for env in google_cloud_run_v2_service.sync[0].template[0].containers[0].env : env.name => env.value if length(env.value_source) == 0 } == {
      CT_API_URL           = "https://api.europe-west1.gcp.commercetools.com"
      CT_AUTH_URL          = "https://auth.europe-west1.gcp.commercetools.com"
      CT_PROJECT_ID        = "my-shop"
      CT_SCOPE             = local.ct_scope
      DEAD_LETTER_TOPIC    = "projects/shop-sync/topics/klaviyo-sync-dead-letters"
      GOOGLE_CLOUD_PROJECT = "shop-sync"
      KLAVIYO_LIMIT_SHARE  = "0.2"
      SECRETS_VERSION      = "3"
      SYNC_CONFIG          = "sync.shop.toml"
      THREADS              = "8"
    }
    error_message = "The settings are the function's, and SECRETS_VERSION creates a new revision when a secret changes."
  }

  assert {
    condition = { for env in google_cloud_run_v2_service.sync[0].template[0].containers[0].env : env.name => "${env.value_source[0].secret_key_ref[0].secret}/${env.value_source[0].secret_key_ref[0].version}" if length(env.value_source) > 0 } == {
      CT_API_CLIENT    = "klaviyo-sync-ct-api-client/7"
      KLAVIYO_AUTH_KEY = "klaviyo-key/latest"
    }
    error_message = "The secrets are the function's."
  }

  assert {
    condition     = google_cloud_run_v2_service.sync[0].ingress == "INGRESS_TRAFFIC_INTERNAL_ONLY" && google_cloud_run_v2_service.sync[0].template[0].service_account == "runtime@shop-sync"
    error_message = "It can't be reached from outside, and runs as the function's account."
  }

  assert {
    condition     = google_cloud_run_v2_service.sync[0].template[0].max_instance_request_concurrency == 8 && google_cloud_run_v2_service.sync[0].template[0].timeout == "60s" && google_cloud_run_v2_service.sync[0].template[0].scaling[0].max_instance_count == 5 && google_cloud_run_v2_service.sync[0].template[0].scaling[0].min_instance_count == 1 && google_cloud_run_v2_service.sync[0].template[0].containers[0].resources[0].limits == tomap({ cpu = "1", memory = "512Mi" })
    error_message = "It has the function's size, scaling and concurrency."
  }

  assert {
    condition     = !google_cloud_run_v2_service.sync[0].deletion_protection
    error_message = "terraform destroy can delete it."
  }

  assert {
    condition     = google_cloud_run_v2_service_iam_member.push_invokes.name == "klaviyo-sync-container" && google_cloud_run_v2_service_iam_member.push_invokes.member == "serviceAccount:push@shop-sync"
    error_message = "Only the push account may call it."
  }

  assert {
    condition     = google_pubsub_subscription.push.push_config[0].push_endpoint == "https://klaviyo-sync-container-x-ew.a.run.app/projects/shop-sync/topics/klaviyo-sync" && google_pubsub_subscription.push.push_config[0].oidc_token[0].audience == "https://klaviyo-sync-container-x-ew.a.run.app" && output.function_uri == "https://klaviyo-sync-container-x-ew.a.run.app"
    error_message = "The queue pushes to it."
  }

  assert {
    condition     = alltrue([for filter in [google_logging_metric.messages.filter, google_monitoring_alert_policy.denied.conditions[0].condition_matched_log[0].filter, google_monitoring_alert_policy.errors.conditions[0].condition_threshold[0].filter] : strcontains(filter, "service_name=\"klaviyo-sync-container\"")])
    error_message = "Metrics and alerts use its log lines."
  }
}
