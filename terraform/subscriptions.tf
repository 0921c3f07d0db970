# The commercetools subscriptions. They have the same keys and the same split into messages and changes as with
# `manage.py subscriptions --prefix NAME`, so `manage.py` can check what Terraform created, and the other way round. No
# `format` is set: commercetools then uses its Platform format.
#
# commercetools publishes a test message when a subscription is created, and refuses the subscription if that fails. So
# its right to publish, and the queue, are created first. It refuses an empty subscription too: without messages or
# changes there is none.

locals {
  # The function ignores messages of standalone prices if its client may not read them, so they are not subscribed to.
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

  # The API returns all changes as one list. With several blocks every plan would show a difference.
  changes {
    resource_type_ids = var.subscribed_changes
  }

  depends_on = [
    google_pubsub_topic_iam_member.commercetools_publishes,
    google_pubsub_subscription.push,
  ]
}
