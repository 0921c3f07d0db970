locals {
  user_metric = "metric.type=\"logging.googleapis.com/user"
  per_message = "${local.user_metric}/${google_logging_metric.messages.name}\" AND resource.type=\"cloud_run_revision\""
  per_latency = "${local.user_metric}/${google_logging_metric.latency.name}\" AND resource.type=\"cloud_run_revision\""
  per_calls   = "${local.user_metric}/${google_logging_metric.klaviyo_calls.name}\" AND resource.type=\"cloud_run_revision\""

  # PromQL's name of a metric: only it can add up a distribution.
  calls_sum = "logging_googleapis_com:user_${replace(google_logging_metric.klaviyo_calls.name, "/[^A-Za-z0-9]/", "_")}_sum"

  # With one value in a period the mean is that value; percentiles of a distribution are guesses within a bucket.
  drift_chart = {
    title = "Drift found by a comparison, part of the shop's records", plot = "STACKED_BAR", limits = { "max_drift" = 0.001 }
    lines = [{ legend = "drift", filter = "${local.user_metric}/${local.drift_metric}\" AND resource.type=\"cloud_run_job\"", align = "ALIGN_DELTA", join = "REDUCE_MEAN", by = [] }]
  }

  # Each line: legend, filter or PromQL query, and how its series are aligned and joined.
  charts = [
    {
      title = "Messages a minute, by outcome", plot = "STACKED_BAR", limits = {}
      lines = [{ legend = "$${metric.labels.outcome}", filter = local.per_message, align = "ALIGN_DELTA", join = "REDUCE_SUM", by = ["metric.label.\"outcome\""] }]
    },
    {
      title = "Messages a minute, by resource and type", plot = "STACKED_BAR", limits = {}
      lines = [{ legend = "$${metric.labels.resource}/$${metric.labels.type}", filter = local.per_message, align = "ALIGN_DELTA", join = "REDUCE_SUM", by = ["metric.label.\"resource\"", "metric.label.\"type\""] }]
    },
    {
      title = "Messages a minute that were not synced, by reason", plot = "STACKED_BAR", limits = {}
      lines = [{ legend = "$${metric.labels.outcome}: $${metric.labels.reason}", filter = "${local.per_message} AND metric.labels.outcome!=\"synced\"", align = "ALIGN_DELTA", join = "REDUCE_SUM", by = ["metric.label.\"outcome\"", "metric.label.\"reason\""] }]
    },
    {
      title = "Latency of a message (ms)", plot = "LINE", limits = {}
      lines = [for percent in ["50", "95", "99"] : { legend = "p${percent}", filter = local.per_latency, align = "ALIGN_DELTA", join = "REDUCE_PERCENTILE_${percent}", by = [] }]
    },
    {
      title = "Messages that wait", plot = "LINE", limits = {}
      lines = [
        { legend = "queue", filter = "${local.of_push_subscription} AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\"", align = "ALIGN_MAX", join = "REDUCE_SUM", by = [] },
        { legend = "dead letters", filter = "${local.of_dead_letter_subscription} AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\"", align = "ALIGN_MAX", join = "REDUCE_SUM", by = [] },
      ]
    },
    {
      title = "Age of the oldest message (s)", plot = "LINE", limits = { "alert" = var.alert_oldest_message_seconds }
      lines = [{ legend = "queue", filter = "${local.of_push_subscription} AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\"", align = "ALIGN_MAX", join = "REDUCE_MAX", by = [] }]
    },
    {
      title = "Klaviyo calls a minute, by resource", plot = "STACKED_AREA", limits = { "profiles, and each catalog operation" = 750, "events" = local.klaviyo_events_per_minute }
      lines = [{ legend = "{{resource}}", promql = "sum by (resource) (rate(${local.calls_sum}{monitored_resource=\"cloud_run_revision\"}[5m])) * 60" }]
    },
    {
      title = "Klaviyo calls a message", plot = "LINE", limits = {}
      lines = [for percent in ["50", "95", "99"] : { legend = "p${percent}", filter = local.per_calls, align = "ALIGN_DELTA", join = "REDUCE_PERCENTILE_${percent}", by = [] }]
    },
    {
      title = "Answers a minute: 2xx acknowledged, 5xx delivered again", plot = "STACKED_BAR", limits = {}
      lines = [{ legend = "$${metric.labels.response_code}", filter = "${local.log_of_function} AND metric.type=\"run.googleapis.com/request_count\"", align = "ALIGN_DELTA", join = "REDUCE_SUM", by = ["metric.label.\"response_code\""] }]
    },
    {
      title = "Instances", plot = "STACKED_AREA", limits = { "max_instances" = local.max_instances }
      lines = [{ legend = "$${metric.labels.state}", filter = "${local.log_of_function} AND metric.type=\"run.googleapis.com/container/instance_count\"", align = "ALIGN_MAX", join = "REDUCE_SUM", by = ["metric.label.\"state\""] }]
    },
    {
      title = "Memory and CPU used (p99, share)", plot = "LINE", limits = {}
      lines = [for used in ["memory", "cpu"] : { legend = used, filter = "${local.log_of_function} AND metric.type=\"run.googleapis.com/container/${used}/utilizations\"", align = "ALIGN_DELTA", join = "REDUCE_PERCENTILE_99", by = [] }]
    },
  ]

  chart_widgets = [for chart in concat(local.charts, [for chart in [local.drift_chart] : chart if local.has_drift]) : {
    title = chart.title
    xyChart = {
      thresholds = [for label, value in chart.limits : { label = label, value = value }]
      dataSets = [for line in chart.lines : {
        plotType       = chart.plot
        legendTemplate = line.legend
        timeSeriesQuery = { for key, value in {
          prometheusQuery = try(line.promql, null)
          timeSeriesFilter = try({
            filter = line.filter
            aggregation = {
              alignmentPeriod    = "60s"
              perSeriesAligner   = line.align
              crossSeriesReducer = line.join
              groupByFields      = line.by
            }
          }, null)
        } : key => value if value != null }
      }]
    }
  }]

  log_widget = {
    title = "Warnings and errors"
    logsPanel = {
      filter        = "${local.log_of_function} AND severity>=WARNING"
      resourceNames = ["projects/${var.project_id}"]
    }
  }

  # Two in a row.
  tiles = [for index, widget in concat(local.chart_widgets, [local.log_widget]) : {
    xPos   = index % 2 * 6
    yPos   = floor(index / 2) * 4
    width  = 6
    height = 4
    widget = widget
  }]
}

resource "google_monitoring_dashboard" "sync" {
  project = var.project_id
  dashboard_json = jsonencode({
    displayName  = "${var.name}: commercetools to Klaviyo"
    mosaicLayout = { columns = 12, tiles = local.tiles }
  })

  depends_on = [google_project_service.required, google_logging_metric.drift]
}
