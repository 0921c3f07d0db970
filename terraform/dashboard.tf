locals {
  user_metric            = "metric.type=\"logging.googleapis.com/user"
  messages_metric_filter = "${local.user_metric}/${google_logging_metric.messages.name}\" AND resource.type=\"cloud_run_revision\""
  latency_metric_filter  = "${local.user_metric}/${google_logging_metric.latency.name}\" AND resource.type=\"cloud_run_revision\""
  calls_metric_filter    = "${local.user_metric}/${google_logging_metric.klaviyo_calls.name}\" AND resource.type=\"cloud_run_revision\""

  # The metric's name in PromQL: only PromQL can sum the values of a distribution.
  calls_sum = "logging_googleapis_com:user_${replace(google_logging_metric.klaviyo_calls.name, "/[^A-Za-z0-9]/", "_")}_sum"

  # A run writes one value per period, so the mean is that value. A percentile would be interpolated within a bucket.
  drift_chart = {
    title = "Drift per comparison (share of the shop's records)", plot = "STACKED_BAR", limits = { "max_drift" = 0.001 }
    lines = [{ legend = "drift", filter = "${local.user_metric}/${local.drift_metric}\" AND resource.type=\"cloud_run_job\"", align = "ALIGN_DELTA", join = "REDUCE_MEAN", by = [] }]
  }

  # Each line of a chart has a legend, a filter or a PromQL query, and how its series are aligned and reduced.
  charts = [
    {
      title = "Messages per minute, by outcome", plot = "STACKED_BAR", limits = {}
      lines = [{ legend = "$${metric.labels.outcome}", filter = local.messages_metric_filter, align = "ALIGN_DELTA", join = "REDUCE_SUM", by = ["metric.label.\"outcome\""] }]
    },
    {
      title = "Messages per minute, by resource and type", plot = "STACKED_BAR", limits = {}
      lines = [{ legend = "$${metric.labels.resource}/$${metric.labels.type}", filter = local.messages_metric_filter, align = "ALIGN_DELTA", join = "REDUCE_SUM", by = ["metric.label.\"resource\"", "metric.label.\"type\""] }]
    },
    {
      title = "Messages per minute not synced, by reason", plot = "STACKED_BAR", limits = {}
      lines = [{ legend = "$${metric.labels.outcome}: $${metric.labels.reason}", filter = "${local.messages_metric_filter} AND metric.labels.outcome!=\"synced\"", align = "ALIGN_DELTA", join = "REDUCE_SUM", by = ["metric.label.\"outcome\"", "metric.label.\"reason\""] }]
    },
    {
      title = "Message latency (ms)", plot = "LINE", limits = {}
      lines = [for percent in ["50", "95", "99"] : { legend = "p${percent}", filter = local.latency_metric_filter, align = "ALIGN_DELTA", join = "REDUCE_PERCENTILE_${percent}", by = [] }]
    },
    {
      title = "Waiting messages", plot = "LINE", limits = {}
      lines = [
        { legend = "queue", filter = "${local.push_subscription_filter} AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\"", align = "ALIGN_MAX", join = "REDUCE_SUM", by = [] },
        { legend = "dead letters", filter = "${local.dead_letter_subscription_filter} AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\"", align = "ALIGN_MAX", join = "REDUCE_SUM", by = [] },
      ]
    },
    {
      title = "Age of the oldest waiting message (s)", plot = "LINE", limits = { "alert" = var.alert_oldest_message_seconds }
      lines = [{ legend = "queue", filter = "${local.push_subscription_filter} AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\"", align = "ALIGN_MAX", join = "REDUCE_MAX", by = [] }]
    },
    {
      title = "Klaviyo calls per minute, by resource", plot = "STACKED_AREA", limits = { "profiles, and each catalog operation" = 750, "events" = local.klaviyo_events_per_minute }
      lines = [{ legend = "{{resource}}", promql = "sum by (resource) (rate(${local.calls_sum}{monitored_resource=\"cloud_run_revision\"}[5m])) * 60" }]
    },
    {
      title = "Klaviyo calls per message", plot = "LINE", limits = {}
      lines = [for percent in ["50", "95", "99"] : { legend = "p${percent}", filter = local.calls_metric_filter, align = "ALIGN_DELTA", join = "REDUCE_PERCENTILE_${percent}", by = [] }]
    },
    {
      title = "Responses per minute: 2xx acknowledged, 5xx redelivered", plot = "STACKED_BAR", limits = {}
      lines = [{ legend = "$${metric.labels.response_code}", filter = "${local.function_log_filter} AND metric.type=\"run.googleapis.com/request_count\"", align = "ALIGN_DELTA", join = "REDUCE_SUM", by = ["metric.label.\"response_code\""] }]
    },
    {
      title = "Instances", plot = "STACKED_AREA", limits = { "max_instances" = local.max_instances }
      lines = [{ legend = "$${metric.labels.state}", filter = "${local.function_log_filter} AND metric.type=\"run.googleapis.com/container/instance_count\"", align = "ALIGN_MAX", join = "REDUCE_SUM", by = ["metric.label.\"state\""] }]
    },
    {
      title = "Memory and CPU utilization (p99)", plot = "LINE", limits = {}
      lines = [for used in ["memory", "cpu"] : { legend = used, filter = "${local.function_log_filter} AND metric.type=\"run.googleapis.com/container/${used}/utilizations\"", align = "ALIGN_DELTA", join = "REDUCE_PERCENTILE_99", by = [] }]
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
      filter        = "${local.function_log_filter} AND severity>=WARNING"
      resourceNames = ["projects/${var.project_id}"]
    }
  }

  # Two tiles per row.
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
