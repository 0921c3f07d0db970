# With var.image: a Cloud Run service of that image in the function's place.

resource "google_cloud_run_v2_service" "sync" {
  count = var.image == null ? 0 : 1

  # Another name than the function's, whose own service has that: so either can be there before the other goes.
  project     = var.project_id
  name        = "${var.name}-container"
  location    = var.region
  description = "Keeps Klaviyo true to the commercetools project ${var.ct_project_id}."
  labels      = var.labels

  # Pub/Sub of the same project counts as internal at the run.app address.
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  deletion_protection = false # `terraform destroy` takes it away, as it does the function

  template {
    service_account                  = google_service_account.runtime.email
    timeout                          = "${var.timeout_seconds}s"
    max_instance_request_concurrency = var.concurrency

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = local.max_instances
    }

    containers {
      image = var.image

      resources {
        limits            = { cpu = tostring(var.cpu), memory = var.memory }
        cpu_idle          = true # CPU only while messages are worked on, as with the function
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = local.environment

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
    }
  }

  depends_on = [
    google_pubsub_topic_iam_member.runtime_publishes_dead_letters,
    google_secret_manager_secret_iam_member.runtime_reads,
  ]
}
