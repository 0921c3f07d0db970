output "topic" {
  description = "Where commercetools publishes to: the topic of a subscription made by hand or by `manage.py subscriptions`."
  value       = google_pubsub_topic.messages.id
}

output "dead_letter_topic" {
  description = "Where messages go that can't be synced (DEAD_LETTER_TOPIC)."
  value       = google_pubsub_topic.dead_letters.id
}

output "dead_letter_subscription" {
  description = "Where the dead letters wait, dead_letter_retention_days long: for `manage.py dead-letters`."
  value       = google_pubsub_subscription.dead_letters.id
}

output "push_subscription" {
  description = "The queue: what the function has not acknowledged yet."
  value       = google_pubsub_subscription.push.id
}

output "function_uri" {
  description = "Address of the function, or of the service of an image. Only the push subscription may call it."
  value       = local.service_uri
}

output "max_instances" {
  description = "Instances that the function may have at most."
  value       = local.max_instances
}

output "runtime_service_account" {
  description = "Whom the function runs as: to be granted whatever it is to reach on top."
  value       = google_service_account.runtime.email
}

output "commercetools_subscriptions" {
  description = "Keys of the commercetools subscriptions; empty when they are left to `manage.py subscriptions`."
  value       = concat(commercetools_subscription.messages[*].key, commercetools_subscription.changes[*].key)
}

output "job_commands" {
  description = "How each job is started by hand, by name; empty without any. Those with a schedule start by themselves as well. A run that was stopped is gone on with."
  value       = { for name, job in google_cloud_run_v2_job.job : name => "gcloud run jobs execute ${job.name} --region=${var.region} --project=${var.project_id}" }
}

output "jobs_bucket" {
  description = "Where jobs note how far they are and what they could not do, e.g. backfill-state.json and backfill-errors.jsonl; null without any."
  value       = one(google_storage_bucket.jobs[*].name)
}

output "on_call" {
  description = "To paste when paged: the names of this deployment, and the first command. See docs/failures.md."
  value       = <<-EOT
    export TOPIC=${google_pubsub_topic.messages.id}
    export DEAD_LETTER_SUBSCRIPTION=${google_pubsub_subscription.dead_letters.id}
    export SYNC_SERVICE=${local.service_name}
    python3 manage.py status
  EOT
}

output "dashboard_url" {
  description = "The dashboard: look here first."
  value       = "https://console.cloud.google.com/monitoring/dashboards/builder/${basename(google_monitoring_dashboard.sync.id)}?project=${var.project_id}"
}

output "log_command" {
  description = "Shows what became of the last messages."
  value       = "gcloud logging read '${local.log_of_messages}' --project=${var.project_id} --freshness=1h --limit=50 --format='value(timestamp,jsonPayload.message,jsonPayload.reason)'"
}
