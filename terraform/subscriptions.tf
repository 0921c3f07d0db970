# What commercetools is asked for. tests/deploy/test_terraform.py holds both lists against handlers/registry.py.

locals {
  subscribed_messages = {
    category = ["CategoryCreated"]
    customer = ["CustomerCreated"]
    order = [
      "OrderCreated",
      "OrderCreatedFromRecurringOrder",
      "OrderCustomerSet",
      "OrderImported",
      "OrderStateChanged",
    ]
    payment = ["PaymentTransactionAdded", "PaymentTransactionStateChanged"]
    product = ["ProductDeleted", "ProductPublished", "ProductUnpublished"]
  }

  subscribed_changes = ["category", "customer", "inventory-entry"]
}

# Without `format` commercetools sends its Platform format. The API gives the changes back as one list, so they stand in
# one block: several would differ from it at every plan.
resource "commercetools_subscription" "sync" {
  count = var.commercetools_subscriptions ? 1 : 0

  key = var.name

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

  changes {
    resource_type_ids = local.subscribed_changes
  }

  # commercetools publishes a test message when the subscription is made, and refuses it when that fails. The function
  # comes first as well, so that nothing waits for it.
  depends_on = [
    google_pubsub_topic_iam_member.commercetools_publishes,
    google_pubsub_subscription.push,
  ]
}
