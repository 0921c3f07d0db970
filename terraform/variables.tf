# Project and names

variable "project_id" {
  description = "Google Cloud project, with billing enabled."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be the id of a project, e.g. shop-sync-prod: not its name or number."
  }
}

variable "region" {
  description = "Region of all resources, ideally that of commercetools' API host, e.g. europe-west1."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a Google Cloud region such as europe-west1, not a zone."
  }
}

variable "name" {
  description = "Name of the function and the topic, and prefix of all other names. Use another name for a second sync, e.g. of another shop."
  type        = string
  default     = "klaviyo-sync"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 22 lower-case letters, digits and hyphens, start with a letter, and not end with a hyphen: service accounts are named after it."
  }
}

variable "labels" {
  description = "Labels for every resource that supports them."
  type        = map(string)
  default     = { app = "klaviyo-sync" }

  validation {
    condition     = alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels may have only lower-case letters, digits, hyphens and underscores, at most 63; a key must start with a letter."
  }
}

variable "message_storage_regions" {
  description = "Regions in which Pub/Sub may store messages and dead letters, which contain personal data (message_storage_policy). Default: only var.region. []: no restriction other than the organisation's policies."
  type        = list(string)
  default     = null

  validation {
    condition     = alltrue([for region in coalesce(var.message_storage_regions, []) : can(regex("^[a-z]+-[a-z]+[0-9]+$", region))])
    error_message = "message_storage_regions must list Google Cloud regions such as europe-west1."
  }
}

# The commercetools project

variable "ct_api_url" {
  description = "commercetools' API host (CT_API_URL), e.g. https://api.europe-west1.gcp.commercetools.com."
  type        = string

  validation {
    condition     = can(regex("^https://[^\\s/]+$", var.ct_api_url))
    error_message = "ct_api_url must be https:// and a host, without a trailing slash."
  }
}

variable "ct_auth_url" {
  description = "commercetools' auth host (CT_AUTH_URL), e.g. https://auth.europe-west1.gcp.commercetools.com."
  type        = string

  validation {
    condition     = can(regex("^https://[^\\s/]+$", var.ct_auth_url))
    error_message = "ct_auth_url must be https:// and a host, without a trailing slash or /oauth/token."
  }
}

variable "ct_project_id" {
  description = "commercetools project key (CT_PROJECT_ID)."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,256}$", var.ct_project_id))
    error_message = "ct_project_id must be the project key: letters, digits, hyphens and underscores."
  }
}

variable "ct_scope" {
  description = "Scopes of the function's API client, separated by spaces (CT_SCOPE). The client must have every scope that is listed. Default: view_customers, view_orders, view_payments, view_products and view_published_products of the project. Add view_standalone_prices if products use standalone prices, view_discount_codes for discount codes of orders, view_customer_groups for customer groups, view_states for workflow states."
  type        = string
  default     = null

  validation {
    condition     = var.ct_scope == null || can(regex("^[a-z_]+:\\S+( [a-z_]+:\\S+)*$", var.ct_scope))
    error_message = "ct_scope must be a list such as \"view_orders:my-shop view_products:my-shop\"."
  }
}

# Secrets: for each, either pass the value (ideally as TF_VAR_...) or name an existing secret

variable "ct_api_client" {
  description = "The function's API client (CT_API_CLIENT). It needs the scopes of ct_scope and no others."
  type        = object({ client_id = string, secret = string })
  default     = null
  sensitive   = true

  validation {
    condition     = (var.ct_api_client == null) != (var.existing_secrets.ct_api_client == null)
    error_message = "Set exactly one of ct_api_client and existing_secrets.ct_api_client."
  }

  validation {
    condition     = var.ct_api_client == null || (try(length(var.ct_api_client.client_id), 0) > 0 && try(length(var.ct_api_client.secret), 0) > 0)
    error_message = "ct_api_client needs a client_id and a secret."
  }
}

variable "klaviyo_auth_key" {
  description = "Klaviyo's private key (KLAVIYO_AUTH_KEY). It needs the scopes profiles and catalogs (read and write), events:write and data-privacy:write; for [consent] also subscriptions:write and lists:write; for reconcile also metrics:read."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = (var.klaviyo_auth_key == null) != (var.existing_secrets.klaviyo_auth_key == null)
    error_message = "Set exactly one of klaviyo_auth_key and existing_secrets.klaviyo_auth_key."
  }

  validation {
    condition     = var.klaviyo_auth_key == null || can(regex("^\\S+$", var.klaviyo_auth_key))
    error_message = "klaviyo_auth_key must not be empty or contain spaces."
  }
}

variable "existing_secrets" {
  description = "Ids of existing secrets in this project, for values that are not passed above. Their latest version is used. The secret of ct_api_client must hold {\"clientId\": \"...\", \"secret\": \"...\"}."
  type = object({
    ct_api_client    = optional(string)
    klaviyo_auth_key = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for id in values(var.existing_secrets) : id == null || can(regex("^[A-Za-z0-9_-]{1,255}$", id))])
    error_message = "existing_secrets must hold ids such as klaviyo-key, not paths or values."
  }
}

variable "secrets_version" {
  description = "Raise it whenever a secret changes. Values passed here are then sent again (Terraform can't compare write-only values), and new instances read the latest version of existing secrets."
  type        = number
  default     = 1

  validation {
    condition     = var.secrets_version >= 1 && floor(var.secrets_version) == var.secrets_version
    error_message = "secrets_version must be a whole number, 1 or higher."
  }
}

# What is sent to Klaviyo

variable "preferred_locale" {
  description = "Locale to use for localized texts (PREFERRED_LOCALE), e.g. en-US."
  type        = string
  default     = null

  validation {
    condition     = var.preferred_locale == null || can(regex("^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", var.preferred_locale))
    error_message = "preferred_locale must be a language tag such as en or en-US."
  }
}

variable "preferred_currency" {
  description = "Currency of the price to show (PREFERRED_CURRENCY), e.g. EUR."
  type        = string
  default     = null

  validation {
    condition     = var.preferred_currency == null || can(regex("^[A-Z]{3}$", var.preferred_currency))
    error_message = "preferred_currency must have three capital letters, e.g. EUR."
  }
}

variable "product_url_template" {
  description = "Template for a product's URL in the shop (PRODUCT_URL_TEMPLATE), e.g. https://shop.example/p/{{productSlug}}."
  type        = string
  default     = null

  validation {
    condition     = var.product_url_template == null || can(regex("^https?://\\S+$", var.product_url_template))
    error_message = "product_url_template must be a URL such as https://shop.example/p/{{productSlug}}."
  }
}

variable "klaviyo_api_url" {
  description = "Base URL to use instead of Klaviyo's API, e.g. of a proxy (KLAVIYO_API_URL)."
  type        = string
  default     = null

  validation {
    condition     = var.klaviyo_api_url == null || can(regex("^https://[^\\s/]+(/\\S*)?$", var.klaviyo_api_url))
    error_message = "klaviyo_api_url must be a URL such as https://proxy.example."
  }
}

variable "sync_config_file" {
  description = "Path of your own sync.toml on this machine. It is deployed instead of the repository's, so SYNC_CONFIG is not needed."
  type        = string
  default     = null

  validation {
    condition     = var.sync_config_file == null || try(endswith(var.sync_config_file, ".toml") && fileexists(var.sync_config_file), false)
    error_message = "sync_config_file must be the path of an existing .toml file."
  }

  validation {
    condition     = var.sync_config_file == null || var.image == null
    error_message = "sync_config_file has no effect on an image, which contains its own sync.toml: build yours into it as sync.NAME.toml and set SYNC_CONFIG in extra_environment."
  }
}

variable "extra_environment" {
  description = "Environment variables that no other Terraform variable sets, e.g. APP_TYPE or SKIP_BASE64_ENCODING. Not for secrets."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.extra_environment) : can(regex("^[A-Z][A-Z0-9_]*$", name)) && !startswith(name, "X_GOOGLE_")])
    error_message = "extra_environment must have names in capital letters that do not start with X_GOOGLE_."
  }

  validation {
    condition = length(setintersection(keys(var.extra_environment), concat(var.image == null ? ["SYNC_CONFIG"] : [], [
      "BACKFILL_STATE", "CT_API_CLIENT", "CT_API_URL", "CT_AUTH_URL", "CT_PROJECT_ID", "CT_SCOPE", "CT_SCOPES", "DEAD_LETTER_TOPIC",
      "GOOGLE_CLOUD_PROJECT", "KLAVIYO_API_URL", "KLAVIYO_AUTH_KEY", "KLAVIYO_LIMIT_SHARE", "PORT", "PREFERRED_CURRENCY", "PREFERRED_LOCALE",
      "PRODUCT_URL_TEMPLATE", "PUSH_AUDIENCE", "PUSH_SERVICE_ACCOUNT", "RECONCILE_STATE", "SECRETS_VERSION", "THREADS",
    ]))) == 0
    error_message = "extra_environment contains a name that has its own Terraform variable, is a secret, is set by the platform, or only applies outside Google Cloud."
  }
}
