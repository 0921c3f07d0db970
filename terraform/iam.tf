# Service accounts and their rights. Every right is on a single resource, except the build's, which are on the project:
# Cloud Build uses buckets and a repository that Google creates and names.

data "google_project" "this" {
  project_id = var.project_id
}

locals {
  pubsub_agent            = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  commercetools_publisher = "serviceAccount:subscriptions@commercetools-platform.iam.gserviceaccount.com"

  # https://cloud.google.com/run/docs/configuring/services/build-service-account
  build_roles = [
    "roles/artifactregistry.writer",
    "roles/logging.logWriter",
    "roles/storage.objectViewer",
  ]
}

resource "google_service_account" "runtime" {
  project      = var.project_id
  account_id   = "${var.name}-runtime"
  display_name = "${var.name}: the function"
  description  = "Reads the two secrets and publishes dead letters."

  depends_on = [google_project_service.required]
}

resource "google_service_account" "push" {
  project      = var.project_id
  account_id   = "${var.name}-push"
  display_name = "${var.name}: Pub/Sub push"
  description  = "The identity with which the push subscription calls the function."

  depends_on = [google_project_service.required]
}

resource "google_service_account" "build" {
  count = var.image == null ? 1 : 0

  project      = var.project_id
  account_id   = "${var.name}-build"
  display_name = "${var.name}: build"
  description  = "Builds the function's image. The default build account has no rights in new organisations."

  depends_on = [google_project_service.required]
}

resource "google_project_iam_member" "build" {
  for_each = toset(var.image == null ? local.build_roles : [])

  project = var.project_id
  role    = each.value
  member  = "serviceAccount:${google_service_account.build[0].email}"
}

resource "google_secret_manager_secret_iam_member" "runtime_reads" {
  for_each = local.secret_ids

  project   = var.project_id
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${google_service_account.runtime.email}"
}

resource "google_pubsub_topic_iam_member" "runtime_publishes_dead_letters" {
  project = var.project_id
  topic   = google_pubsub_topic.dead_letters.id
  role    = "roles/pubsub.publisher"
  member  = "serviceAccount:${google_service_account.runtime.email}"
}

# The only right to call the function.
resource "google_cloud_run_v2_service_iam_member" "push_invokes" {
  project  = var.project_id
  name     = local.service_name
  location = var.region
  role     = "roles/run.invoker"
  member   = "serviceAccount:${google_service_account.push.email}"
}

# The account belongs to commercetools. An organisation policy (iam.allowedPolicyMemberDomains) may refuse it: make an
# exception there.
resource "google_pubsub_topic_iam_member" "commercetools_publishes" {
  project = var.project_id
  topic   = google_pubsub_topic.messages.id
  role    = "roles/pubsub.publisher"
  member  = local.commercetools_publisher
}

# Pub/Sub itself needs these two rights to move a message to the dead-letter topic after its last attempt.
resource "google_pubsub_topic_iam_member" "agent_publishes_dead_letters" {
  project = var.project_id
  topic   = google_pubsub_topic.dead_letters.id
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "agent_takes_dead_letters" {
  project      = var.project_id
  subscription = google_pubsub_subscription.push.id
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_service_account_iam_member" "agent_makes_tokens" {
  count = var.pubsub_agent_token_creator ? 1 : 0

  service_account_id = google_service_account.push.id
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent
}
