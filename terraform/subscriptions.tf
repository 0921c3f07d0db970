# The keys and the split are those of `manage.py subscriptions` and `manage.py check` with the prefix var.name, so either
# can look at what the other made. Without `format` commercetools sends its Platform format.
#
# commercetools publishes a test message when a subscription is made, and refuses it when that fails: the right to
# publish comes first, and the queue with it. It allows no empty subscription either.

locals {
  # Without the scope their messages could not be worked on: the function ignores them.
  reads_standalone_prices = can(regex("(^| )((view|manage)_standalone_prices|manage_project):", local.ct_scope))

  subscribed_messages = {
    for resource, types in var.subscribed_messages : resource => types
    if resource != "standalone-price" || local.reads_standalone_prices
  }
}

resource "commercetools_subscription" "messages" {
  count = var.commercetools_subscriptions && length(local.subscribed_messages) > 0 ? 1 : 0

  key = "${var.name}-messages"

  destination {
    type       = "GoogleCloudPubSub"
    project_id = var.project_id
    topic      = google_pubsub_topic.messages.name
  }

  dynamic "message" {
    for_each = local.subscribed_messages

    content {
      resource_type_id = message.key
      types            = message.value
    }
  }

  depends_on = [
    google_pubsub_topic_iam_member.commercetools_publishes,
    google_pubsub_subscription.push,
  ]
}

resource "commercetools_subscription" "changes" {
  count = var.commercetools_subscriptions && length(var.subscribed_changes) > 0 ? 1 : 0

  key = "${var.name}-changes"

  destination {
    type       = "GoogleCloudPubSub"
    project_id = var.project_id
    topic      = google_pubsub_topic.messages.name
  }

  # The API gives them back as one list: several blocks would differ from it at every plan.
  changes {
    resource_type_ids = var.subscribed_changes
  }

  depends_on = [
    google_pubsub_topic_iam_member.commercetools_publishes,
    google_pubsub_subscription.push,
  ]
}
