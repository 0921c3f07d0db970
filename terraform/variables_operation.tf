# Size and scaling

variable "concurrency" {
  description = "Messages that one instance processes concurrently. Also sets THREADS."
  type        = number
  default     = 8

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 80 && floor(var.concurrency) == var.concurrency
    error_message = "concurrency must be a whole number from 1 to 80."
  }
}

variable "cpu" {
  description = "CPUs per instance. Cloud Run allows an instance to process several messages at once only with at least 1."
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 2, 4], var.cpu)
    error_message = "cpu must be 1, 2 or 4."
  }
}

variable "memory" {
  description = "Memory per instance."
  type        = string
  default     = "512Mi"

  validation {
    condition     = contains(["512Mi", "1Gi", "2Gi", "4Gi"], var.memory)
    error_message = "memory must be 512Mi, 1Gi, 2Gi or 4Gi."
  }

  validation {
    condition     = var.cpu < 4 || contains(["2Gi", "4Gi"], var.memory)
    error_message = "4 CPUs need at least 2Gi of memory."
  }
}

variable "timeout_seconds" {
  description = "Request timeout in seconds. It must exceed what a message may take (25 s, plus 5 s to publish a dead letter) and stay below the ack deadline (600 s)."
  type        = number
  default     = 60

  validation {
    condition     = var.timeout_seconds >= 35 && var.timeout_seconds < 600 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds must be a whole number from 35 to 599: longer than a message may take, and shorter than the ack deadline of 600."
  }
}

variable "min_instances" {
  description = "Instances that are always kept running. 0 costs nothing, but the first message after a quiet period waits for a cold start."
  type        = number
  default     = 0

  validation {
    condition     = var.min_instances >= 0 && floor(var.min_instances) == var.min_instances
    error_message = "min_instances must be a whole number, 0 or higher."
  }
}

variable "max_instances" {
  description = "Maximum number of instances. Default: as many as Klaviyo's rate limits can keep busy (see function.tf), 5 with a concurrency of 8."
  type        = number
  default     = null

  validation {
    condition     = var.max_instances == null || try(var.max_instances >= 1 && var.max_instances <= 100 && floor(var.max_instances) == var.max_instances, false)
    error_message = "max_instances must be a whole number from 1 to 100."
  }

  validation {
    condition     = var.max_instances == null || try(var.max_instances >= var.min_instances, false)
    error_message = "max_instances must be at least min_instances."
  }
}

# Retention of dead letters

variable "dead_letter_retention_days" {
  description = "Days until Pub/Sub deletes a dead letter, together with the personal data in it. Pub/Sub allows at most 31."
  type        = number
  default     = 31

  validation {
    condition     = var.dead_letter_retention_days >= 2 && var.dead_letter_retention_days <= 31 && floor(var.dead_letter_retention_days) == var.dead_letter_retention_days
    error_message = "dead_letter_retention_days must be a whole number from 2 to 31."
  }
}

# The commercetools subscriptions

variable "commercetools_subscriptions" {
  description = "Create the commercetools subscriptions with Terraform. Set it to false if `manage.py subscriptions` manages them."
  type        = bool
  default     = true
}

variable "subscribed_messages" {
  description = "Message types that commercetools delivers, by resource type. Default: all that the default sync.toml consumes. After changing sync.toml run `manage.py subscriptions plan --tfvars`, which writes this variable and subscribed_changes."
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

  # An empty list of types would subscribe to every message of the resource.
  validation {
    condition = alltrue([for resource, types in var.subscribed_messages :
      can(regex("^[a-z-]+$", resource)) && length(types) > 0 && alltrue([for type in types : can(regex("^[A-Z][A-Za-z]+$", type))])
    ])
    error_message = "subscribed_messages must list at least one message type, e.g. OrderCreated, for each resource type, e.g. order."
  }
}

variable "subscribed_changes" {
  description = "Resource types whose changes commercetools delivers (created, updated, deleted). The default and how to update it are as for subscribed_messages."
  type        = list(string)
  nullable    = false
  default     = ["category", "customer", "inventory-entry"]

  validation {
    condition     = alltrue([for resource in var.subscribed_changes : can(regex("^[a-z-]+$", resource))])
    error_message = "subscribed_changes must list resource types, e.g. customer."
  }
}

# Alerts: recipients and thresholds

variable "alert_emails" {
  description = "E-mail addresses that receive alerts."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "alert_emails must list e-mail addresses."
  }
}

variable "notification_channels" {
  description = "Existing notification channels that receive alerts too, e.g. Slack or PagerDuty: projects/P/notificationChannels/N."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for channel in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[0-9]+$", channel))])
    error_message = "notification_channels must list names such as projects/my-project/notificationChannels/123."
  }
}

variable "alert_oldest_message_seconds" {
  description = "Age of the oldest waiting message, in seconds, above which an alert fires."
  type        = number
  default     = 1800

  validation {
    condition     = var.alert_oldest_message_seconds >= 300 && var.alert_oldest_message_seconds <= 86400
    error_message = "alert_oldest_message_seconds must be from 300 (5 minutes) to 86400 (a day)."
  }
}

variable "alert_failed_deliveries" {
  description = "Failed deliveries per five minutes above which an alert fires. Some failures are normal: rate limits and short outages cause them, and Pub/Sub redelivers the messages."
  type        = number
  default     = 50

  validation {
    condition     = var.alert_failed_deliveries >= 0
    error_message = "alert_failed_deliveries must be 0 or higher."
  }
}

# Rarely needed

variable "image" {
  description = "Image to run as a Cloud Run service instead of the function, built from the repository's Dockerfile, e.g. europe-west1-docker.pkg.dev/my-project/sync/klaviyo-sync@sha256:... Prefer a digest: Terraform does not notice when a tag is moved."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("^[a-z0-9.-]+\\.[a-z]+/[a-z0-9._/-]+(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@sha256:[0-9a-f]{64})?$", var.image))
    error_message = "image must be the full name of an image, e.g. europe-west1-docker.pkg.dev/my-project/sync/klaviyo-sync:1."
  }
}

variable "source_dir" {
  description = "Root of the repository to deploy. Default: the repository that contains this folder."
  type        = string
  default     = null

  validation {
    condition     = var.source_dir == null || try(length(var.source_dir) > 0, false)
    error_message = "source_dir must be a path."
  }
}

variable "pubsub_agent_token_creator" {
  description = "Let Pub/Sub's service agent create tokens for the push account. Only needed in projects whose agent dates from before April 2021."
  type        = bool
  default     = false
}
