output "topic" {
  description = "The topic that commercetools publishes to. Needed to create the commercetools subscriptions by hand or with `manage.py subscriptions`."
  value       = google_pubsub_topic.messages.id
}

output "dead_letter_topic" {
  description = "The topic for messages that can't be synced (DEAD_LETTER_TOPIC)."
  value       = google_pubsub_topic.dead_letters.id
}

output "dead_letter_subscription" {
  description = "The subscription that keeps dead letters for dead_letter_retention_days. `manage.py dead-letters` reads it."
  value       = google_pubsub_subscription.dead_letters.id
}

output "push_subscription" {
  description = "The queue: messages that the function has not acknowledged yet."
  value       = google_pubsub_subscription.push.id
}

output "function_uri" {
  description = "Address of the function, or of the Cloud Run service if image is set. Only the push subscription may call it."
  value       = local.service_uri
}

output "max_instances" {
  description = "Maximum number of instances."
  value       = local.max_instances
}

output "runtime_service_account" {
  description = "The account that the function runs as. Grant it access to anything else that the function must reach."
  value       = google_service_account.runtime.email
}

output "commercetools_subscriptions" {
  description = "Keys of the commercetools subscriptions. Empty if `manage.py subscriptions` manages them."
  value       = concat(commercetools_subscription.messages[*].key, commercetools_subscription.changes[*].key)
}

output "job_commands" {
  description = "Command that starts each job by hand, by the job's name. Empty if there are no jobs. Jobs with a schedule also start by themselves. A run that was stopped resumes."
  value       = { for name, job in google_cloud_run_v2_job.job : name => "gcloud run jobs execute ${job.name} --region=${var.region} --project=${var.project_id}" }
}

output "jobs_bucket" {
  description = "Bucket in which jobs keep their progress and their errors, e.g. backfill-state.json and backfill-errors.jsonl. null if there are no jobs."
  value       = one(google_storage_bucket.jobs[*].name)
}

output "on_call" {
  description = "Commands to paste when you are paged: the names of this deployment and the first thing to run. See docs/failures.md."
  value       = <<-EOT
    export TOPIC=${google_pubsub_topic.messages.id}
    export DEAD_LETTER_SUBSCRIPTION=${google_pubsub_subscription.dead_letters.id}
    export SYNC_SERVICE=${local.service_name}
    python3 manage.py status
  EOT
}

output "dashboard_url" {
  description = "Address of the dashboard: look here first."
  value       = "https://console.cloud.google.com/monitoring/dashboards/builder/${basename(google_monitoring_dashboard.sync.id)}?project=${var.project_id}"
}

output "log_command" {
  description = "Command that shows the outcome of the latest messages."
  value       = "gcloud logging read '${local.message_log_filter}' --project=${var.project_id} --freshness=1h --limit=50 --format='value(timestamp,jsonPayload.message,jsonPayload.reason)'"
}
