# Jobs that run in addition to the function or the container. docs/backfill.md and docs/drift.md say what each does and
# costs.

variable "backfill" {
  description = "Create the Cloud Run job that loads the shop's history into Klaviyo, and a bucket for its progress. It runs only when it is started by hand: see the output job_commands."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.backfill || var.image != null || var.job_image != null
    error_message = "The backfill needs an image: set image, or job_image if you run the function. docs/deploy.md, \"An image of your own\", says how to build one."
  }
}

variable "reconcile" {
  description = "Compare Klaviyo with the shop on a schedule: schedule (cron syntax) and its time_zone, only (kinds to compare; default: all), fix (true: fix differences; false: only report them). {} compares and fixes everything every night at 3:00 UTC. null: never. Counting events needs Klaviyo's scope metrics:read; without it leave events out of only."
  type = object({
    schedule  = optional(string, "0 3 * * *")
    time_zone = optional(string, "Etc/UTC")
    only      = optional(set(string), [])
    fix       = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.reconcile == null || var.image != null || var.job_image != null
    error_message = "The comparison needs an image: set image, or job_image if you run the function. docs/deploy.md, \"An image of your own\", says how to build one."
  }

  validation {
    condition     = var.reconcile == null || can(regex("^\\s*\\S+(\\s+\\S+){4}\\s*$", var.reconcile.schedule))
    error_message = "reconcile.schedule must have cron's five fields, e.g. \"0 3 * * *\"."
  }

  validation {
    condition     = var.reconcile == null || can(regex("^[A-Za-z]+(/[A-Za-z0-9_+-]+)*$", var.reconcile.time_zone))
    error_message = "reconcile.time_zone must be a name from the tz database, e.g. Etc/UTC or Europe/Berlin."
  }

  validation {
    condition     = length(setsubtract(try(var.reconcile.only, []), ["categories", "items", "variants", "profiles", "events"])) == 0
    error_message = "reconcile.only may list categories, items, variants, profiles and events."
  }
}

variable "price_validity" {
  description = "Copy products whose price became valid or expired, every 15 minutes. commercetools sends no message for that. For shops whose prices have validFrom or validUntil. Standalone prices need the scope view_standalone_prices in ct_scope."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.price_validity || var.image != null || var.job_image != null
    error_message = "The price job needs an image: set image, or job_image if you run the function. docs/deploy.md, \"An image of your own\", says how to build one."
  }
}

variable "job_image" {
  description = "Image for the jobs if you run the function, built from the repository's Dockerfile. Default: var.image."
  type        = string
  default     = null

  validation {
    condition     = var.job_image == null || can(regex("^[a-z0-9.-]+\\.[a-z]+/[a-z0-9._/-]+(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@sha256:[0-9a-f]{64})?$", var.job_image))
    error_message = "job_image must be the full name of an image, e.g. europe-west1-docker.pkg.dev/my-project/sync/klaviyo-sync:1."
  }
}
