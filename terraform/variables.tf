# Where it runs

variable "project_id" {
  description = "Google Cloud project, with billing enabled."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id is the id of a project, e.g. shop-sync-prod: not its name, not its number."
  }
}

variable "region" {
  description = "Region of everything, best the one of commercetools' host, e.g. europe-west1."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region is a Google Cloud region such as europe-west1, not a zone."
  }
}

variable "name" {
  description = "Name of the function and the topic, and prefix of everything else. Another name makes another sync, e.g. of another shop."
  type        = string
  default     = "klaviyo-sync"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}[a-z0-9]$", var.name))
    error_message = "name has 3 to 22 lower-case letters, digits and hyphens, and starts with a letter: service accounts are named after it."
  }
}

variable "labels" {
  description = "Labels of every resource that can have some."
  type        = map(string)
  default     = { app = "klaviyo-sync" }

  validation {
    condition     = alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels have lower-case letters, digits, hyphens and underscores only, 63 at most; a key starts with a letter."
  }
}

variable "message_storage_regions" {
  description = "Regions where Pub/Sub may store messages and dead letters, which hold personal data (message_storage_policy). Default: the region of everything else. []: wherever Pub/Sub and the organisation's policies say."
  type        = list(string)
  default     = null

  validation {
    condition     = alltrue([for region in coalesce(var.message_storage_regions, []) : can(regex("^[a-z]+-[a-z]+[0-9]+$", region))])
    error_message = "message_storage_regions holds Google Cloud regions such as europe-west1."
  }
}

# The shop

variable "ct_api_url" {
  description = "commercetools' API host (CT_API_URL), e.g. https://api.europe-west1.gcp.commercetools.com."
  type        = string

  validation {
    condition     = can(regex("^https://[^\\s/]+$", var.ct_api_url))
    error_message = "ct_api_url is https:// and a host, without a slash at the end."
  }
}

variable "ct_auth_url" {
  description = "commercetools' auth host (CT_AUTH_URL), e.g. https://auth.europe-west1.gcp.commercetools.com."
  type        = string

  validation {
    condition     = can(regex("^https://[^\\s/]+$", var.ct_auth_url))
    error_message = "ct_auth_url is https:// and a host, without a slash or /oauth/token at the end."
  }
}

variable "ct_project_id" {
  description = "commercetools project key (CT_PROJECT_ID)."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,256}$", var.ct_project_id))
    error_message = "ct_project_id is the project key: letters, digits, hyphens and underscores."
  }
}

variable "ct_scope" {
  description = "Scopes of the function's API client, space separated (CT_SCOPE). Default: view_customers, view_orders, view_payments, view_products and view_published_products of the project, all of which the client must have; add view_standalone_prices if products use standalone prices, view_discount_codes for the codes of orders, view_customer_groups for the groups of customers, view_states for workflow states."
  type        = string
  default     = null

  validation {
    condition     = var.ct_scope == null || can(regex("^[a-z_]+:\\S+( [a-z_]+:\\S+)*$", var.ct_scope))
    error_message = "ct_scope is a list such as \"view_orders:my-shop view_products:my-shop\"."
  }
}

# Secrets: give each here, best by TF_VAR_..., or name an existing one

variable "ct_api_client" {
  description = "The function's API client (CT_API_CLIENT). It needs the view scopes of ct_scope and nothing else."
  type        = object({ client_id = string, secret = string })
  default     = null
  sensitive   = true

  validation {
    condition     = (var.ct_api_client == null) != (var.existing_secrets.ct_api_client == null)
    error_message = "Give either ct_api_client or existing_secrets.ct_api_client."
  }

  validation {
    condition     = var.ct_api_client == null || (try(length(var.ct_api_client.client_id), 0) > 0 && try(length(var.ct_api_client.secret), 0) > 0)
    error_message = "ct_api_client needs a client_id and a secret."
  }
}

variable "klaviyo_auth_key" {
  description = "Klaviyo's private key (KLAVIYO_AUTH_KEY) with the scopes profiles and catalogs (read and write), events:write and data-privacy:write; for reconcile also metrics:read."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = (var.klaviyo_auth_key == null) != (var.existing_secrets.klaviyo_auth_key == null)
    error_message = "Give either klaviyo_auth_key or existing_secrets.klaviyo_auth_key."
  }

  validation {
    condition     = var.klaviyo_auth_key == null || can(regex("^\\S+$", var.klaviyo_auth_key))
    error_message = "klaviyo_auth_key has no spaces and is not empty."
  }
}

variable "existing_secrets" {
  description = "Ids of secrets of this project that hold what is not given above; their latest version is used. ct_api_client holds {\"clientId\": \"...\", \"secret\": \"...\"}."
  type = object({
    ct_api_client    = optional(string)
    klaviyo_auth_key = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for id in values(var.existing_secrets) : id == null || can(regex("^[A-Za-z0-9_-]{1,255}$", id))])
    error_message = "existing_secrets holds ids such as klaviyo-key, not paths and not values."
  }
}

variable "secrets_version" {
  description = "Raise it when a secret changed: those given here are sent again (what is write-only can't be compared), and new instances read the existing ones' latest version."
  type        = number
  default     = 1

  validation {
    condition     = var.secrets_version >= 1 && floor(var.secrets_version) == var.secrets_version
    error_message = "secrets_version is 1 or a higher whole number."
  }
}

# What is synced

variable "preferred_locale" {
  description = "Which of localized texts to use (PREFERRED_LOCALE), e.g. en-US."
  type        = string
  default     = null

  validation {
    condition     = var.preferred_locale == null || can(regex("^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", var.preferred_locale))
    error_message = "preferred_locale is a language tag such as en or en-US."
  }
}

variable "preferred_currency" {
  description = "Which price to show (PREFERRED_CURRENCY), e.g. EUR."
  type        = string
  default     = null

  validation {
    condition     = var.preferred_currency == null || can(regex("^[A-Z]{3}$", var.preferred_currency))
    error_message = "preferred_currency has three capital letters, e.g. EUR."
  }
}

variable "product_url_template" {
  description = "Address of a product in the shop (PRODUCT_URL_TEMPLATE), e.g. https://shop.example/p/{{productSlug}}."
  type        = string
  default     = null

  validation {
    condition     = var.product_url_template == null || can(regex("^https?://\\S+$", var.product_url_template))
    error_message = "product_url_template is an address such as https://shop.example/p/{{productSlug}}."
  }
}

variable "klaviyo_api_url" {
  description = "Another host for Klaviyo, e.g. a proxy (KLAVIYO_API_URL)."
  type        = string
  default     = null

  validation {
    condition     = var.klaviyo_api_url == null || can(regex("^https://[^\\s/]+(/\\S*)?$", var.klaviyo_api_url))
    error_message = "klaviyo_api_url is an address such as https://proxy.example."
  }
}

variable "sync_config_file" {
  description = "A sync.toml of your own on this machine: it is deployed in place of the repository's, so SYNC_CONFIG is not needed."
  type        = string
  default     = null

  validation {
    condition     = var.sync_config_file == null || try(endswith(var.sync_config_file, ".toml") && fileexists(var.sync_config_file), false)
    error_message = "sync_config_file is the path of a .toml file that exists."
  }

  validation {
    condition     = var.sync_config_file == null || var.image == null
    error_message = "An image holds its sync.toml: build yours into it as sync.NAME.toml, and name it in extra_environment (SYNC_CONFIG)."
  }
}

variable "extra_environment" {
  description = "Environment variables that no other variable sets, e.g. APP_TYPE or SKIP_BASE64_ENCODING. Not for secrets."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.extra_environment) : can(regex("^[A-Z][A-Z0-9_]*$", name)) && !startswith(name, "X_GOOGLE_")])
    error_message = "extra_environment has names in capital letters, not starting with X_GOOGLE_."
  }

  validation {
    condition = length(setintersection(keys(var.extra_environment), concat(var.image == null ? ["SYNC_CONFIG"] : [], [
      "BACKFILL_STATE", "CT_API_CLIENT", "CT_API_URL", "CT_AUTH_URL", "CT_PROJECT_ID", "CT_SCOPE", "CT_SCOPES", "DEAD_LETTER_TOPIC",
      "GOOGLE_CLOUD_PROJECT", "KLAVIYO_API_URL", "KLAVIYO_AUTH_KEY", "KLAVIYO_LIMIT_SHARE", "PORT", "PREFERRED_CURRENCY", "PREFERRED_LOCALE",
      "PRODUCT_URL_TEMPLATE", "PUSH_AUDIENCE", "PUSH_SERVICE_ACCOUNT", "RECONCILE_STATE", "SECRETS_VERSION", "THREADS",
    ]))) == 0
    error_message = "extra_environment holds a name that has a variable of its own, that is a secret or the platform's, or that is for hosts off Google."
  }
}
