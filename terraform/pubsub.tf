locals {
  # The longest that Pub/Sub allows, so that a message is never redelivered while it is still being processed.
  ack_deadline_seconds = 600

  storage_policies = var.message_storage_regions == null ? [[var.region]] : [for regions in [var.message_storage_regions] : regions if length(regions) > 0]
}

resource "google_pubsub_topic" "messages" {
  project = var.project_id
  name    = var.name
  labels  = var.labels

  dynamic "message_storage_policy" {
    for_each = local.storage_policies

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }

  depends_on = [google_project_service.required]
}

resource "google_pubsub_topic" "dead_letters" {
  project = var.project_id
  name    = "${var.name}-dead-letters"
  labels  = var.labels

  dynamic "message_storage_policy" {
    for_each = local.storage_policies

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }

  depends_on = [google_project_service.required]
}

# Pub/Sub pushes straight to the function. Never add an Eventarc trigger to this topic: every message would be processed
# twice.
resource "google_pubsub_subscription" "push" {
  project = var.project_id
  name    = "${var.name}-push"
  topic   = google_pubsub_topic.messages.id
  labels  = var.labels

  ack_deadline_seconds       = local.ack_deadline_seconds
  message_retention_duration = "604800s" # 7 days

  expiration_policy {
    ttl = "" # never
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  # 100 attempts take about 16 hours, so an outage or a wrong key does not turn the whole queue into dead letters.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = 100
  }

  # functions-framework reads a message's source from the topic in the path.
  push_config {
    push_endpoint = "${local.service_uri}/${google_pubsub_topic.messages.id}"

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = local.service_uri
    }
  }

  depends_on = [
    google_cloud_run_v2_service_iam_member.push_invokes,
    google_pubsub_topic_iam_member.agent_publishes_dead_letters,
  ]
}

# Pub/Sub drops messages of a topic that has no subscription, so dead letters need one.
resource "google_pubsub_subscription" "dead_letters" {
  project = var.project_id
  name    = "${var.name}-dead-letters"
  topic   = google_pubsub_topic.dead_letters.id
  labels  = var.labels

  ack_deadline_seconds       = 60
  message_retention_duration = "${var.dead_letter_retention_days * 86400}s"

  expiration_policy {
    ttl = "" # never
  }
}
