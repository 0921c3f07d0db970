# How much it can do

variable "concurrency" {
  description = "Messages that one instance works on at the same time; THREADS is set to it."
  type        = number
  default     = 8

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 80 && floor(var.concurrency) == var.concurrency
    error_message = "concurrency is a whole number from 1 to 80."
  }
}

variable "cpu" {
  description = "CPUs of an instance: at least one, or it can't work on several messages at a time."
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 2, 4], var.cpu)
    error_message = "cpu is 1, 2 or 4."
  }
}

variable "memory" {
  description = "Memory of an instance."
  type        = string
  default     = "512Mi"

  validation {
    condition     = contains(["512Mi", "1Gi", "2Gi", "4Gi"], var.memory)
    error_message = "memory is 512Mi, 1Gi, 2Gi or 4Gi."
  }

  validation {
    condition     = var.cpu < 4 || contains(["2Gi", "4Gi"], var.memory)
    error_message = "4 CPUs need at least 2Gi of memory."
  }
}

variable "timeout_seconds" {
  description = "Seconds after which the platform gives up on a message. A message has 25 s and 5 s for its dead letter, and the ack deadline is 600 s."
  type        = number
  default     = 60

  validation {
    condition     = var.timeout_seconds >= 40 && var.timeout_seconds < 600 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds is a whole number from 40 to 599: longer than a message may take, shorter than the ack deadline of 600."
  }
}

variable "min_instances" {
  description = "Instances that are kept warm. 0 costs nothing and delays the first message after a pause."
  type        = number
  default     = 0

  validation {
    condition     = var.min_instances >= 0 && floor(var.min_instances) == var.min_instances
    error_message = "min_instances is a whole number, 0 or more."
  }
}

variable "max_instances" {
  description = "Instances at most. Default: what Klaviyo's limits can feed (see function.tf), 5 with a concurrency of 8."
  type        = number
  default     = null

  validation {
    condition     = var.max_instances == null || try(var.max_instances >= 1 && var.max_instances <= 100 && floor(var.max_instances) == var.max_instances, false)
    error_message = "max_instances is a whole number from 1 to 100."
  }

  validation {
    condition     = var.max_instances == null || try(var.max_instances >= var.min_instances, false)
    error_message = "max_instances is at least min_instances."
  }
}

# How long dead letters are kept

variable "dead_letter_retention_days" {
  description = "Days after which a dead letter is lost, and with it the personal data that it holds. 31 is the longest that Pub/Sub allows."
  type        = number
  default     = 31

  validation {
    condition     = var.dead_letter_retention_days >= 2 && var.dead_letter_retention_days <= 31 && floor(var.dead_letter_retention_days) == var.dead_letter_retention_days
    error_message = "dead_letter_retention_days is a whole number from 2 to 31."
  }
}

# The commercetools subscriptions

variable "commercetools_subscriptions" {
  description = "Whether to make the commercetools subscriptions here. Set it to false when `manage.py subscriptions` makes them."
  type        = bool
  default     = true
}

variable "subscribed_messages" {
  description = "Message types that commercetools delivers, by resource type. Default: all that sync.toml as it comes consumes. After a change of sync.toml let `manage.py subscriptions plan --tfvars` write both lists."
  type        = map(list(string))
  nullable    = false
  default = {
    category = ["CategoryCreated"]
    customer = ["CustomerCreated"]
    order = [
      "OrderCreated",
      "OrderCreatedFromRecurringOrder",
      "OrderCustomerSet",
      "OrderImported",
      "OrderReturnShipmentStateChanged",
      "OrderShipmentStateChanged",
      "OrderStateChanged",
      "ParcelAddedToDelivery",
      "ParcelTrackingDataUpdated",
      "ReturnInfoAdded",
      "ReturnInfoSet",
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

  # Without types commercetools delivers all of them.
  validation {
    condition = alltrue([for resource, types in var.subscribed_messages :
      can(regex("^[a-z-]+$", resource)) && length(types) > 0 && alltrue([for type in types : can(regex("^[A-Z][A-Za-z]+$", type))])
    ])
    error_message = "subscribed_messages holds at least one message type, e.g. OrderCreated, for each resource type, e.g. order."
  }
}

variable "subscribed_changes" {
  description = "Resource types of which commercetools delivers every change. Default and origin: as of subscribed_messages."
  type        = list(string)
  nullable    = false
  default     = ["category", "customer", "inventory-entry"]

  validation {
    condition     = alltrue([for resource in var.subscribed_changes : can(regex("^[a-z-]+$", resource))])
    error_message = "subscribed_changes holds resource types, e.g. customer."
  }
}

# Who hears of trouble, and when

variable "alert_emails" {
  description = "Addresses that alerts are sent to."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "alert_emails holds e-mail addresses."
  }
}

variable "notification_channels" {
  description = "Existing channels that alerts are sent to as well, e.g. Slack or PagerDuty: projects/P/notificationChannels/N."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for channel in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[0-9]+$", channel))])
    error_message = "notification_channels holds names such as projects/my-project/notificationChannels/123."
  }
}

variable "alert_oldest_message_seconds" {
  description = "How long the oldest message may wait before somebody hears of it."
  type        = number
  default     = 1800

  validation {
    condition     = var.alert_oldest_message_seconds >= 300 && var.alert_oldest_message_seconds <= 86400
    error_message = "alert_oldest_message_seconds is from 300 (5 minutes) to 86400 (a day)."
  }
}

variable "alert_failed_deliveries" {
  description = "Failed deliveries in five minutes that are normal: a limit of Klaviyo's or a short outage makes some, and they are delivered again."
  type        = number
  default     = 50

  validation {
    condition     = var.alert_failed_deliveries >= 0
    error_message = "alert_failed_deliveries is 0 or more."
  }
}

# For unusual projects

variable "image" {
  description = "Image to run as a Cloud Run service in place of the function, e.g. europe-west1-docker.pkg.dev/my-project/sync/klaviyo-sync@sha256:...; built from the repository's Dockerfile. Best by digest: that a tag moved on is not seen here."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("^[a-z0-9.-]+\\.[a-z]+/[a-z0-9._/-]+(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@sha256:[0-9a-f]{64})?$", var.image))
    error_message = "image is the whole name of an image, e.g. europe-west1-docker.pkg.dev/my-project/sync/klaviyo-sync:1."
  }
}

variable "source_dir" {
  description = "Root of the repository to deploy. Default: the one that this folder lies in."
  type        = string
  default     = null

  validation {
    condition     = var.source_dir == null || try(length(var.source_dir) > 0, false)
    error_message = "source_dir is a path."
  }
}

variable "pubsub_agent_token_creator" {
  description = "Whether to let Pub/Sub's service agent make tokens for the push account. Only projects whose agent is older than April 2021 need it."
  type        = bool
  default     = false
}
