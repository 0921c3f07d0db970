locals {
  # Either the function, built from the source, or the service that runs an image: exactly one of the two exists.
  service_name = one(concat(google_cloudfunctions2_function.sync[*].name, google_cloud_run_v2_service.sync[*].name))
  service_uri  = one(concat(google_cloudfunctions2_function.sync[*].service_config[0].uri, google_cloud_run_v2_service.sync[*].uri))

  # More instances than Klaviyo's rate limits can keep busy would only wait. The highest limit is 3500 events per minute
  # for the whole account, and one write occupies a thread for about half a second:
  #
  #   instances = 3500 / 60 s x 0.5 s / concurrency, rounded up, plus one spare: 5 with 8 threads
  #
  # Profile and catalog writes (750 per minute) need a fifth of that. Each instance keeps to its share of every limit
  # (KLAVIYO_LIMIT_SHARE), and uses what the others leave; everything above that waits in Pub/Sub.
  klaviyo_events_per_minute = 3500
  seconds_per_write         = 0.5
  max_instances = coalesce(
    var.max_instances,
    ceil(local.klaviyo_events_per_minute / 60 * local.seconds_per_write / var.concurrency) + 1,
  )

  ct_scope = coalesce(var.ct_scope, join(" ", [
    for scope in ["view_customers", "view_orders", "view_payments", "view_products", "view_published_products"] : "${scope}:${var.ct_project_id}"
  ]))

  environment = merge(var.extra_environment, {
    for name, value in {
      CT_API_URL           = var.ct_api_url
      CT_AUTH_URL          = var.ct_auth_url
      CT_PROJECT_ID        = var.ct_project_id
      CT_SCOPE             = local.ct_scope
      DEAD_LETTER_TOPIC    = google_pubsub_topic.dead_letters.id
      GOOGLE_CLOUD_PROJECT = var.project_id # links a log line to its request
      KLAVIYO_API_URL      = var.klaviyo_api_url
      KLAVIYO_LIMIT_SHARE  = tostring(1 / local.max_instances)
      PREFERRED_CURRENCY   = var.preferred_currency
      PREFERRED_LOCALE     = var.preferred_locale
      PRODUCT_URL_TEMPLATE = var.product_url_template
      SECRETS_VERSION      = local.secrets_version # nothing reads it: a changed value creates a new revision
      THREADS              = tostring(var.concurrency)
    } : name => value if value != null
  })
}

resource "google_cloudfunctions2_function" "sync" {
  count = var.image == null ? 1 : 0

  project     = var.project_id
  name        = var.name
  location    = var.region
  description = "Keeps Klaviyo in sync with the commercetools project ${var.ct_project_id}."
  labels      = var.labels

  build_config {
    runtime         = "python313"
    entry_point     = "sync_push"
    service_account = google_service_account.build[0].name

    source {
      storage_source {
        bucket = google_storage_bucket.source[0].name
        object = google_storage_bucket_object.source[0].name
      }
    }
  }

  service_config {
    available_cpu                    = tostring(var.cpu)
    available_memory                 = var.memory
    timeout_seconds                  = var.timeout_seconds
    min_instance_count               = var.min_instances
    max_instance_count               = local.max_instances
    max_instance_request_concurrency = var.concurrency
    all_traffic_on_latest_revision   = true

    # Calls from the same project's Pub/Sub to the run.app address count as internal.
    ingress_settings      = "ALLOW_INTERNAL_ONLY"
    service_account_email = google_service_account.runtime.email
    environment_variables = local.environment

    dynamic "secret_environment_variables" {
      for_each = local.secret_ids

      content {
        key        = secret_environment_variables.key
        project_id = var.project_id
        secret     = secret_environment_variables.value
        version    = local.secret_versions[secret_environment_variables.key]
      }
    }
  }

  depends_on = [
    google_project_iam_member.build,
    google_pubsub_topic_iam_member.runtime_publishes_dead_letters,
    google_secret_manager_secret_iam_member.runtime_reads,
  ]
}
