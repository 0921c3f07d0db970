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
    product = [
      "ProductAddedToCategory",
      "ProductDeleted",
      "ProductImageAdded",
      "ProductPriceAdded",
      "ProductPriceChanged",
      "ProductPriceDiscountsSet",
      "ProductPriceExternalDiscountSet",
      "ProductPriceModeSet",
      "ProductPriceRemoved",
      "ProductPricesSet",
      "ProductPublished",
      "ProductRemovedFromCategory",
      "ProductSlugChanged",
      "ProductUnpublished",
      "ProductVariantAdded",
      "ProductVariantDeleted",
    ]
    standalone-price = [
      "StandalonePriceActiveChanged",
      "StandalonePriceCreated",
      "StandalonePriceDeleted",
      "StandalonePriceDiscountSet",
      "StandalonePriceExternalDiscountSet",
      "StandalonePriceStagedChangesApplied",
      "StandalonePriceTierAdded",
      "StandalonePriceTierRemoved",
      "StandalonePriceTiersSet",
      "StandalonePriceValidFromAndUntilSet",
      "StandalonePriceValidFromSet",
      "StandalonePriceValidUntilSet",
      "StandalonePriceValueChanged",
    ]
  }

  subscribed_changes = ["category", "customer", "inventory-entry"]
}

# The keys and the split are those of `manage.py subscriptions` and `manage.py check` with the prefix var.name, so either
# can look at what the other made. Without `format` commercetools sends its Platform format.
#
# commercetools publishes a test message when a subscription is made, and refuses it when that fails: the right to
# publish comes first, and the queue with it.

resource "commercetools_subscription" "messages" {
  count = var.commercetools_subscriptions ? 1 : 0

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
  count = var.commercetools_subscriptions ? 1 : 0

  key = "${var.name}-changes"

  destination {
    type       = "GoogleCloudPubSub"
    project_id = var.project_id
    topic      = google_pubsub_topic.messages.name
  }

  # The API gives them back as one list: several blocks would differ from it at every plan.
  changes {
    resource_type_ids = local.subscribed_changes
  }

  depends_on = [
    google_pubsub_topic_iam_member.commercetools_publishes,
    google_pubsub_subscription.push,
  ]
}
