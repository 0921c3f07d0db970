# Resources whose address changed. With these blocks Terraform keeps them instead of re-creating them.

moved {
  from = google_cloudfunctions2_function.sync
  to   = google_cloudfunctions2_function.sync[0]
}

moved {
  from = google_service_account.build
  to   = google_service_account.build[0]
}

moved {
  from = google_storage_bucket.source
  to   = google_storage_bucket.source[0]
}

moved {
  from = google_storage_bucket_object.source
  to   = google_storage_bucket_object.source[0]
}
