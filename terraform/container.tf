# With var.image set: a Cloud Run service that runs the image instead of the function.

resource "google_cloud_run_v2_service" "sync" {
  count = var.image == null ? 0 : 1

  # The function's own Cloud Run service already has var.name. With a name of its own, this one can be created before
  # the function is deleted, and the other way round.
  project     = var.project_id
  name        = "${var.name}-container"
  location    = var.region
  description = "Keeps Klaviyo in sync with the commercetools project ${var.ct_project_id}."
  labels      = var.labels

  # Calls from the same project's Pub/Sub to the run.app address count as internal.
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  deletion_protection = false # so that `terraform destroy` can delete it, like the function

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
        cpu_idle          = true # CPU only while a message is processed, as with the function
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
