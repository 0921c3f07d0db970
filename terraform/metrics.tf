# Log-based metrics, from the one line that the function logs per message (pipeline.py).

locals {
  function_log_filter = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${local.service_name}\" AND resource.labels.location=\"${var.region}\""
  message_log_filter  = "${local.function_log_filter} AND jsonPayload.outcome:*"

  # `resource` is logged as type/id. Only the type becomes a label, as every id would create a time series of its own.
  extract_outcome  = "EXTRACT(jsonPayload.outcome)"
  extract_resource = "REGEXP_EXTRACT(jsonPayload.resource, \"^([a-z-]+)/\")"
  extract_type     = "EXTRACT(jsonPayload.type)"
}

resource "google_logging_metric" "messages" {
  project     = var.project_id
  name        = "${var.name}/messages"
  description = "Messages by outcome, reason, resource and type."
  filter      = local.message_log_filter

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "INT64"
    unit         = "1"
    display_name = "${var.name}: messages"

    labels {
      key         = "outcome"
      description = "synced, ignored, retried or dead-lettered"
    }
    labels {
      key         = "reason"
      description = "Why the message was not synced: one of a fixed list"
    }
    labels {
      key         = "resource"
      description = "commercetools resource type"
    }
    labels {
      key         = "type"
      description = "Message type, or kind of change"
    }
  }

  label_extractors = {
    outcome  = local.extract_outcome
    reason   = "EXTRACT(jsonPayload.reason)"
    resource = local.extract_resource
    type     = local.extract_type
  }

  depends_on = [google_project_service.required]
}

resource "google_logging_metric" "latency" {
  project         = var.project_id
  name            = "${var.name}/latency"
  description     = "Wall-clock time per message, by outcome and resource."
  filter          = "${local.message_log_filter} AND jsonPayload.milliseconds:*"
  value_extractor = "EXTRACT(jsonPayload.milliseconds)"

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "DISTRIBUTION"
    unit         = "ms"
    display_name = "${var.name}: latency"

    labels {
      key         = "outcome"
      description = "synced, ignored, retried or dead-lettered"
    }
    labels {
      key         = "resource"
      description = "commercetools resource type"
    }
  }

  label_extractors = {
    outcome  = local.extract_outcome
    resource = local.extract_resource
  }

  # 1 ms to about 65 s; each bound is 1.5 times the one before.
  bucket_options {
    exponential_buckets {
      num_finite_buckets = 28
      growth_factor      = 1.5
      scale              = 1
    }
  }

  depends_on = [google_project_service.required]
}

resource "google_logging_metric" "klaviyo_calls" {
  project         = var.project_id
  name            = "${var.name}/klaviyo_calls"
  description     = "Calls to Klaviyo per message, by resource and type. Their sum counts against Klaviyo's rate limits."
  filter          = "${local.message_log_filter} AND jsonPayload.calls.klaviyo:*"
  value_extractor = "EXTRACT(jsonPayload.calls.klaviyo)"

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "DISTRIBUTION"
    unit         = "1"
    display_name = "${var.name}: Klaviyo calls"

    labels {
      key         = "resource"
      description = "commercetools resource type"
    }
    labels {
      key         = "type"
      description = "Message type, or kind of change"
    }
  }

  label_extractors = {
    resource = local.extract_resource
    type     = local.extract_type
  }

  bucket_options {
    explicit_buckets {
      bounds = [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500]
    }
  }

  depends_on = [google_project_service.required]
}
