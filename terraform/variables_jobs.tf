# Jobs beside the function or the container. What each does, and costs: docs/backfill.md and docs/drift.md

variable "backfill" {
  description = "Whether to make the Cloud Run job that loads the shop's past into Klaviyo, with a bucket for how far it is. It runs when it is started: see the output job_commands."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.backfill || var.image != null || var.job_image != null
    error_message = "The backfill runs an image: give image, or beside a function job_image. docs/deploy.md, \"An image of your own\", says how to build one."
  }
}

variable "reconcile" {
  description = "When to compare Klaviyo with the shop, and what to do: schedule in cron's form and the zone it is in, which kinds (only; default all), and whether to mend what differs (fix). {} compares and mends everything at 3:00 UTC every night. Counting events needs Klaviyo's scope metrics:read: without it leave events out of only. null: never."
  type = object({
    schedule  = optional(string, "0 3 * * *")
    time_zone = optional(string, "Etc/UTC")
    only      = optional(set(string), [])
    fix       = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.reconcile == null || var.image != null || var.job_image != null
    error_message = "The comparison runs an image: give image, or beside a function job_image. docs/deploy.md, \"An image of your own\", says how to build one."
  }

  validation {
    condition     = var.reconcile == null || can(regex("^\\s*\\S+(\\s+\\S+){4}\\s*$", var.reconcile.schedule))
    error_message = "reconcile.schedule has the five fields of cron, e.g. \"0 3 * * *\"."
  }

  validation {
    condition     = var.reconcile == null || can(regex("^[A-Za-z]+(/[A-Za-z0-9_+-]+)*$", var.reconcile.time_zone))
    error_message = "reconcile.time_zone is a name of the tz database, e.g. Etc/UTC or Europe/Berlin."
  }

  validation {
    condition     = length(setsubtract(try(var.reconcile.only, []), ["categories", "items", "variants", "profiles", "events"])) == 0
    error_message = "reconcile.only holds some of categories, items, variants, profiles and events."
  }
}

variable "price_validity" {
  description = "Whether to copy products of which a price has begun or ended, every 15 minutes, as commercetools sends no message then. For shops whose prices have validFrom or validUntil. Standalone prices need the scope view_standalone_prices in ct_scope."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.price_validity || var.image != null || var.job_image != null
    error_message = "The job runs an image: give image, or beside a function job_image. docs/deploy.md, \"An image of your own\", says how to build one."
  }
}

variable "job_image" {
  description = "Image of the jobs beside a function; built from the repository's Dockerfile. Default: image."
  type        = string
  default     = null

  validation {
    condition     = var.job_image == null || can(regex("^[a-z0-9.-]+\\.[a-z]+/[a-z0-9._/-]+(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@sha256:[0-9a-f]{64})?$", var.job_image))
    error_message = "job_image is the whole name of an image, e.g. europe-west1-docker.pkg.dev/my-project/sync/klaviyo-sync:1."
  }
}
