# The resources that a deployment creates, with their limits and rights. The providers are mocked.

mock_provider "archive" {}
mock_provider "commercetools" {}
mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "4711" }
  }
}

override_resource {
  target = google_cloudfunctions2_function.sync
  values = { service_config = { uri = "https://klaviyo-sync-x-ew.a.run.app" } }
}

override_resource {
  target = google_pubsub_topic.messages
  values = { id = "projects/shop-sync/topics/klaviyo-sync" }
}

override_resource {
  target = google_pubsub_topic.dead_letters
  values = { id = "projects/shop-sync/topics/klaviyo-sync-dead-letters" }
}

override_resource {
  target = google_pubsub_subscription.push
  values = { id = "projects/shop-sync/subscriptions/klaviyo-sync-push" }
}

override_resource {
  target = google_service_account.runtime
  values = { email = "runtime@shop-sync" }
}

override_resource {
  target = google_service_account.push
  values = { email = "push@shop-sync" }
}

override_resource {
  target = google_service_account.build
  values = { email = "build@shop-sync", name = "projects/shop-sync/serviceAccounts/build@shop-sync" }
}

override_resource {
  target = google_monitoring_dashboard.sync
  values = { id = "projects/4711/dashboards/d-1" }
}

override_resource {
  target = google_secret_manager_secret_version.own
  values = { version = "7" }
}

override_data {
  target = data.archive_file.source
  values = { output_sha256 = "c0ffee" }
}

variables {
  project_id       = "shop-sync"
  region           = "europe-west1"
  ct_api_url       = "https://api.europe-west1.gcp.commercetools.com"
  ct_auth_url      = "https://auth.europe-west1.gcp.commercetools.com"
  ct_project_id    = "my-shop"
  ct_api_client    = { client_id = "id-of-client", secret = "secret-of-client" }
  klaviyo_auth_key = "pk_of_nobody"
  source_dir       = "tests/source"
  alert_emails     = ["ops@shop.example"]
}

run "defaults" {
  # The queue

  assert {
    condition     = google_pubsub_subscription.push.ack_deadline_seconds == 600
    error_message = "The ack deadline is 600 s."
  }

  assert {
    condition     = google_pubsub_subscription.push.retry_policy[0].minimum_backoff == "10s" && google_pubsub_subscription.push.retry_policy[0].maximum_backoff == "600s"
    error_message = "The backoff is 10 to 600 s."
  }

  assert {
    condition     = google_pubsub_subscription.push.dead_letter_policy[0].max_delivery_attempts == 100 && google_pubsub_subscription.push.dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.dead_letters.id
    error_message = "A message goes to the dead-letter topic after 100 attempts."
  }

  assert {
    condition     = google_pubsub_subscription.push.message_retention_duration == "${7 * 86400}s"
    error_message = "Messages are kept for 7 days."
  }

  assert {
    condition     = google_pubsub_subscription.dead_letters.message_retention_duration == "${31 * 86400}s" && google_pubsub_subscription.dead_letters.topic == google_pubsub_topic.dead_letters.id
    error_message = "Dead letters are kept for 31 days, in a subscription of their topic."
  }

  assert {
    condition     = alltrue([for topic in [google_pubsub_topic.messages, google_pubsub_topic.dead_letters] : topic.message_storage_policy[0].allowed_persistence_regions == toset(["europe-west1"])])
    error_message = "Messages and dead letters stay in the region."
  }

  assert {
    condition     = alltrue([for subscription in [google_pubsub_subscription.push, google_pubsub_subscription.dead_letters] : subscription.expiration_policy[0].ttl == ""])
    error_message = "No subscription expires."
  }

  assert {
    condition     = google_pubsub_subscription.push.push_config[0].push_endpoint == "https://klaviyo-sync-x-ew.a.run.app/projects/shop-sync/topics/klaviyo-sync"
    error_message = "The push goes to the function, with the topic in its path."
  }

  assert {
    condition     = google_pubsub_subscription.push.push_config[0].oidc_token[0].audience == "https://klaviyo-sync-x-ew.a.run.app" && google_pubsub_subscription.push.push_config[0].oidc_token[0].service_account_email == "push@shop-sync"
    error_message = "The push carries a token of the push account, with the function as its audience."
  }

  # The function

  assert {
    condition     = google_cloudfunctions2_function.sync[0].build_config[0].runtime == "python313" && google_cloudfunctions2_function.sync[0].build_config[0].entry_point == "sync_push" && length(google_cloudfunctions2_function.sync[0].event_trigger) == 0
    error_message = "The function is sync_push on Python 3.13, without an Eventarc trigger."
  }

  assert {
    condition     = google_cloudfunctions2_function.sync[0].service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY"
    error_message = "The function can't be reached from outside."
  }

  assert {
    condition     = google_cloudfunctions2_function.sync[0].service_config[0].environment_variables.THREADS == tostring(google_cloudfunctions2_function.sync[0].service_config[0].max_instance_request_concurrency)
    error_message = "The function has as many threads as concurrent messages."
  }

  assert {
    condition     = tonumber(google_cloudfunctions2_function.sync[0].service_config[0].available_cpu) >= 1
    error_message = "The function has at least one CPU."
  }

  assert {
    condition     = google_cloudfunctions2_function.sync[0].service_config[0].timeout_seconds < google_pubsub_subscription.push.ack_deadline_seconds
    error_message = "The function's timeout is below the ack deadline."
  }

  assert {
    condition     = google_cloudfunctions2_function.sync[0].service_config[0].max_instance_count == 5
    error_message = "Klaviyo's limits keep five instances of eight threads busy."
  }

  assert {
    condition     = google_cloudfunctions2_function.sync[0].service_config[0].service_account_email == "runtime@shop-sync" && google_cloudfunctions2_function.sync[0].build_config[0].service_account == "projects/shop-sync/serviceAccounts/build@shop-sync"
    error_message = "The function has its own accounts to run as and to be built by."
  }

  assert {
    condition = google_cloudfunctions2_function.sync[0].service_config[0].environment_variables == tomap({
      CT_API_URL           = "https://api.europe-west1.gcp.commercetools.com"
      CT_AUTH_URL          = "https://auth.europe-west1.gcp.commercetools.com"
      CT_PROJECT_ID        = "my-shop"
      CT_SCOPE             = "view_customers:my-shop view_orders:my-shop view_payments:my-shop view_products:my-shop view_published_products:my-shop"
      DEAD_LETTER_TOPIC    = "projects/shop-sync/topics/klaviyo-sync-dead-letters"
      GOOGLE_CLOUD_PROJECT = "shop-sync"
      KLAVIYO_LIMIT_SHARE  = "0.2"
      THREADS              = "8"
    })
    error_message = "The environment holds only what is set; the function has defaults for the rest."
  }

  # Secrets

  assert {
    condition     = { for secret in google_cloudfunctions2_function.sync[0].service_config[0].secret_environment_variables : secret.key => "${secret.secret}/${secret.version}" } == { CT_API_CLIENT = "klaviyo-sync-ct-api-client/7", KLAVIYO_AUTH_KEY = "klaviyo-sync-klaviyo-auth-key/7" }
    error_message = "The function names the version of its secrets, so it is redeployed with a new one."
  }

  assert {
    condition     = jsondecode(google_secret_manager_secret_version.own["CT_API_CLIENT"].secret_data_wo) == { clientId = "id-of-client", secret = "secret-of-client" } && google_secret_manager_secret_version.own["KLAVIYO_AUTH_KEY"].secret_data_wo == "pk_of_nobody"
    error_message = "The secrets have the format that the function reads."
  }

  assert {
    condition     = !strcontains(google_secret_manager_secret_version.own["CT_API_CLIENT"].secret_data, "secret-of-client") && google_secret_manager_secret_version.own["KLAVIYO_AUTH_KEY"].secret_data != "pk_of_nobody"
    error_message = "No secret is passed in an argument that is stored in the state."
  }

  assert {
    condition = !anytrue([for text in [
      output.topic, output.dead_letter_topic, output.dead_letter_subscription, output.push_subscription, output.function_uri,
      output.runtime_service_account, join(" ", output.commercetools_subscriptions), output.dashboard_url, output.log_command,
      jsonencode(google_cloudfunctions2_function.sync[0].service_config[0].environment_variables),
    ] : strcontains(text, "secret-of-client") || strcontains(text, "pk_of_nobody")])
    error_message = "No output and no plain environment variable contains a secret."
  }

  # The source

  assert {
    condition = toset([for file in data.archive_file.source[0].source : file.filename]) == toset([
      "main.py", "pipeline.py", "sync.toml", "requirements.txt", "core/__init__.py", "handlers/__init__.py", "handlers/deeper/__init__.py",
      "mappers/__init__.py", "clients/__init__.py", "jobs/__init__.py",
    ])
    error_message = "The archive contains only what is needed at run time."
  }

  assert {
    condition     = google_storage_bucket_object.source[0].name == "source-c0ffee.zip" && google_storage_bucket.source[0].uniform_bucket_level_access && google_storage_bucket.source[0].public_access_prevention == "enforced"
    error_message = "The archive is named after its hash, in a bucket that can't be public."
  }

  # Rights

  assert {
    condition     = google_cloud_run_v2_service_iam_member.push_invokes.role == "roles/run.invoker" && google_cloud_run_v2_service_iam_member.push_invokes.member == "serviceAccount:push@shop-sync" && google_cloud_run_v2_service_iam_member.push_invokes.name == "klaviyo-sync"
    error_message = "Only the push account may call the function."
  }

  assert {
    condition     = { for name, member in google_secret_manager_secret_iam_member.runtime_reads : name => "${member.secret_id} ${member.role} ${member.member}" } == { CT_API_CLIENT = "klaviyo-sync-ct-api-client roles/secretmanager.secretAccessor serviceAccount:runtime@shop-sync", KLAVIYO_AUTH_KEY = "klaviyo-sync-klaviyo-auth-key roles/secretmanager.secretAccessor serviceAccount:runtime@shop-sync" }
    error_message = "The function may read its two secrets."
  }

  assert {
    condition     = google_pubsub_topic_iam_member.runtime_publishes_dead_letters.role == "roles/pubsub.publisher" && google_pubsub_topic_iam_member.runtime_publishes_dead_letters.topic == google_pubsub_topic.dead_letters.id && google_pubsub_topic_iam_member.runtime_publishes_dead_letters.member == "serviceAccount:runtime@shop-sync"
    error_message = "The function may publish dead letters."
  }

  assert {
    condition     = google_pubsub_topic_iam_member.commercetools_publishes.role == "roles/pubsub.publisher" && google_pubsub_topic_iam_member.commercetools_publishes.topic == google_pubsub_topic.messages.id && google_pubsub_topic_iam_member.commercetools_publishes.member == "serviceAccount:subscriptions@commercetools-platform.iam.gserviceaccount.com"
    error_message = "commercetools may publish to the topic."
  }

  assert {
    condition     = google_pubsub_topic_iam_member.agent_publishes_dead_letters.role == "roles/pubsub.publisher" && google_pubsub_topic_iam_member.agent_publishes_dead_letters.topic == google_pubsub_topic.dead_letters.id && google_pubsub_topic_iam_member.agent_publishes_dead_letters.member == "serviceAccount:service-4711@gcp-sa-pubsub.iam.gserviceaccount.com"
    error_message = "Pub/Sub's agent may publish to the dead-letter topic."
  }

  assert {
    condition     = google_pubsub_subscription_iam_member.agent_takes_dead_letters.role == "roles/pubsub.subscriber" && google_pubsub_subscription_iam_member.agent_takes_dead_letters.subscription == google_pubsub_subscription.push.id && google_pubsub_subscription_iam_member.agent_takes_dead_letters.member == "serviceAccount:service-4711@gcp-sa-pubsub.iam.gserviceaccount.com"
    error_message = "Pub/Sub's agent may take messages from the queue."
  }

  assert {
    condition     = length(google_service_account_iam_member.agent_makes_tokens) == 0
    error_message = "By default Pub/Sub's agent has no right to create tokens."
  }

  assert {
    condition     = alltrue([for member in google_project_iam_member.build : member.member == "serviceAccount:build@shop-sync"])
    error_message = "Only the build has rights on the project."
  }

  assert {
    condition     = alltrue([for api in google_project_service.required : !api.disable_on_destroy])
    error_message = "terraform destroy leaves the project's APIs on."
  }

  # commercetools

  assert {
    condition = alltrue([for subscription in [commercetools_subscription.messages[0], commercetools_subscription.changes[0]] :
      one(subscription.destination[*].type) == "GoogleCloudPubSub" && one(subscription.destination[*].topic) == "klaviyo-sync" && one(subscription.destination[*].project_id) == "shop-sync"
    ])
    error_message = "commercetools publishes to the topic, given by its short name."
  }

  assert {
    condition     = { for message in commercetools_subscription.messages[0].message : message.resource_type_id => message.types } == { for resource, types in var.subscribed_messages : resource => types if resource != "standalone-price" }
    error_message = "There is one message block per resource, but none for standalone prices, because ct_scope lacks their scope."
  }

  assert {
    condition     = one(commercetools_subscription.changes[0].changes[*].resource_type_ids) == var.subscribed_changes
    error_message = "All changes are in one block."
  }

  assert {
    condition     = output.commercetools_subscriptions == ["klaviyo-sync-messages", "klaviyo-sync-changes"]
    error_message = "The keys are those that manage.py subscriptions uses."
  }
}

run "alerts_metrics_and_dashboard" {
  assert {
    condition     = output.on_call == "export TOPIC=projects/shop-sync/topics/klaviyo-sync\nexport DEAD_LETTER_SUBSCRIPTION=${output.dead_letter_subscription}\nexport SYNC_SERVICE=klaviyo-sync\npython3 manage.py status\n"
    error_message = "The output on_call has the names of the deployment and the first command to run."
  }

  assert {
    condition     = alltrue([for policy in [google_monitoring_alert_policy.dead_letters, google_monitoring_alert_policy.oldest_message, google_monitoring_alert_policy.errors, google_monitoring_alert_policy.denied, google_monitoring_alert_policy.unforeseen, google_monitoring_alert_policy.consent_list] : length(policy.notification_channels) == 1 && strcontains(policy.documentation[0].content, "docs/failures.md")])
    error_message = "Every alert has a recipient and says what to do."
  }

  assert {
    condition     = alltrue([for condition in google_monitoring_alert_policy.dead_letters.conditions : condition.condition_threshold[0].comparison == "COMPARISON_GT"]) && strcontains(google_monitoring_alert_policy.dead_letters.conditions[0].condition_threshold[0].filter, "\"klaviyo-sync-dead-letters\"") && strcontains(google_monitoring_alert_policy.dead_letters.conditions[1].condition_threshold[0].filter, "\"klaviyo-sync-push\"")
    error_message = "Dead letters from the function are counted on the dead-letter topic, those from Pub/Sub on the push subscription."
  }

  assert {
    condition     = google_monitoring_alert_policy.dead_letters.conditions[2].condition_threshold[0].threshold_value < 31 * 86400
    error_message = "An alert fires before a dead letter is lost."
  }

  assert {
    condition = alltrue([for policy, reason in { denied = "=~\"_denied$\"", unforeseen = "=\"unforeseen\"" } :
      { denied = google_monitoring_alert_policy.denied, unforeseen = google_monitoring_alert_policy.unforeseen }[policy].conditions[0].condition_matched_log[0].filter ==
      "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"klaviyo-sync\" AND resource.labels.location=\"europe-west1\" AND jsonPayload.outcome:* AND jsonPayload.outcome=\"retried\" AND jsonPayload.reason${reason}"
    ])
    error_message = "A single log line of the function raises the alert on a wrong key or a bug."
  }

  assert {
    condition     = alltrue([for policy in [google_monitoring_alert_policy.denied, google_monitoring_alert_policy.unforeseen, google_monitoring_alert_policy.consent_list] : policy.alert_strategy[0].notification_rate_limit[0].period == "3600s"])
    error_message = "Notifications are limited to one per hour; Google refuses a log alert without a limit."
  }

  assert {
    condition     = google_logging_metric.messages.label_extractors.resource == "REGEXP_EXTRACT(jsonPayload.resource, \"^([a-z-]+)/\")" && toset(keys(google_logging_metric.messages.label_extractors)) == toset(google_logging_metric.messages.metric_descriptor[0].labels[*].key)
    error_message = "Messages are counted by resource type, never by id, and every label has an extractor."
  }

  assert {
    condition     = toset(keys(google_logging_metric.latency.label_extractors)) == toset(google_logging_metric.latency.metric_descriptor[0].labels[*].key) && toset(keys(google_logging_metric.klaviyo_calls.label_extractors)) == toset(google_logging_metric.klaviyo_calls.metric_descriptor[0].labels[*].key)
    error_message = "Every label has an extractor."
  }

  assert {
    condition     = alltrue([for metric in [google_logging_metric.messages, google_logging_metric.latency, google_logging_metric.klaviyo_calls] : startswith(metric.filter, "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"klaviyo-sync\" AND ")])
    error_message = "Only the function's own log lines are counted."
  }

  assert {
    condition     = alltrue([for metric in ["messages", "latency", "klaviyo_calls"] : strcontains(google_monitoring_dashboard.sync.dashboard_json, "logging.googleapis.com/user/klaviyo-sync/${metric}\\\"")]) && strcontains(google_monitoring_dashboard.sync.dashboard_json, "logging_googleapis_com:user_klaviyo_sync_klaviyo_calls_sum{")
    error_message = "The dashboard shows every metric."
  }

  assert {
    condition     = length(setproduct([0, 6], range(0, 24, 4))) == length(toset([for tile in jsondecode(google_monitoring_dashboard.sync.dashboard_json).mosaicLayout.tiles : "${tile.xPos},${tile.yPos}"]))
    error_message = "No two tiles of the dashboard overlap."
  }

  assert {
    condition     = strcontains(google_monitoring_dashboard.sync.dashboard_json, "\"$${metric.labels.outcome}\"")
    error_message = "Legends refer to the metric's labels."
  }

  assert {
    condition     = output.dashboard_url == "https://console.cloud.google.com/monitoring/dashboards/builder/d-1?project=shop-sync"
    error_message = "The output is the dashboard's address."
  }
}

run "settings_reach_the_function" {
  command = plan

  variables {
    ct_scope             = "view_orders:my-shop view_standalone_prices:my-shop"
    preferred_locale     = "de-DE"
    preferred_currency   = "EUR"
    product_url_template = "https://shop.example/p/{{productSlug}}"
    klaviyo_api_url      = "https://proxy.example"
    extra_environment    = { SKIP_BASE64_ENCODING = "1" }
    concurrency          = 16
    cpu                  = 2
    sync_config_file     = "tests/own.toml"
    secrets_version      = 2
  }

  assert {
    condition = { for name in ["CT_SCOPE", "PREFERRED_LOCALE", "PREFERRED_CURRENCY", "PRODUCT_URL_TEMPLATE", "KLAVIYO_API_URL", "SKIP_BASE64_ENCODING", "THREADS"] : name => local.environment[name] } == {
      CT_SCOPE             = "view_orders:my-shop view_standalone_prices:my-shop"
      PREFERRED_LOCALE     = "de-DE"
      PREFERRED_CURRENCY   = "EUR"
      PRODUCT_URL_TEMPLATE = "https://shop.example/p/{{productSlug}}"
      KLAVIYO_API_URL      = "https://proxy.example"
      SKIP_BASE64_ENCODING = "1"
      THREADS              = "16"
    }
    error_message = "Every setting reaches the function."
  }

  assert {
    condition     = google_cloudfunctions2_function.sync[0].service_config[0].max_instance_request_concurrency == 16 && google_cloudfunctions2_function.sync[0].service_config[0].max_instance_count == 3
    error_message = "With more threads there are fewer instances."
  }

  assert {
    condition     = one([for file in data.archive_file.source[0].source : file.content if file.filename == "sync.toml"]) == file("tests/own.toml")
    error_message = "sync_config_file replaces the repository's sync.toml."
  }

  assert {
    condition     = alltrue([for version in google_secret_manager_secret_version.own : version.secret_data_wo_version == 2])
    error_message = "A new secrets_version sends the secrets again."
  }
}

run "where_and_how_long_data_is_kept" {
  variables {
    message_storage_regions    = ["europe-west3", "europe-west4"]
    dead_letter_retention_days = 7
  }

  assert {
    condition     = alltrue([for topic in [google_pubsub_topic.messages, google_pubsub_topic.dead_letters] : topic.message_storage_policy[0].allowed_persistence_regions == toset(["europe-west3", "europe-west4"])])
    error_message = "Both topics store messages only in the given regions."
  }

  assert {
    condition     = google_pubsub_subscription.dead_letters.message_retention_duration == "${7 * 86400}s"
    error_message = "Dead letters are kept for the given number of days."
  }

  assert {
    condition     = google_monitoring_alert_policy.dead_letters.conditions[2].condition_threshold[0].threshold_value == 4 * 86400 && strcontains(google_monitoring_alert_policy.dead_letters.documentation[0].content, "lost after 7 days")
    error_message = "The alert fires before a dead letter is lost, and says when that is."
  }
}

run "no_storage_regions" {
  command = plan

  variables {
    message_storage_regions = []
  }

  assert {
    condition     = length(google_pubsub_topic.messages.message_storage_policy) + length(google_pubsub_topic.dead_letters.message_storage_policy) == 0
    error_message = "Without regions only the organisation's policies apply."
  }
}

run "existing_secrets" {
  variables {
    ct_api_client    = null
    klaviyo_auth_key = null
    existing_secrets = { ct_api_client = "shop-client", klaviyo_auth_key = "klaviyo-key" }
  }

  assert {
    condition     = length(google_secret_manager_secret.own) == 0 && length(google_secret_manager_secret_version.own) == 0
    error_message = "No secret is created."
  }

  assert {
    condition     = { for secret in google_cloudfunctions2_function.sync[0].service_config[0].secret_environment_variables : secret.key => "${secret.secret}/${secret.version}" } == { CT_API_CLIENT = "shop-client/latest", KLAVIYO_AUTH_KEY = "klaviyo-key/latest" }
    error_message = "The function reads the existing secrets."
  }

  assert {
    condition     = { for name, member in google_secret_manager_secret_iam_member.runtime_reads : name => member.secret_id } == { CT_API_CLIENT = "shop-client", KLAVIYO_AUTH_KEY = "klaviyo-key" }
    error_message = "The function may read the existing secrets."
  }
}

run "a_new_version_of_an_existing_secret" {
  variables {
    ct_api_client    = null
    existing_secrets = { ct_api_client = "shop-client" }
    secrets_version  = 4
  }

  assert {
    condition     = google_cloudfunctions2_function.sync[0].service_config[0].environment_variables.SECRETS_VERSION == "4"
    error_message = "Raising secrets_version changes an environment variable, so a new revision starts and reads the latest version."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.denied.documentation[0].content, "gcloud secrets versions add shop-client --project=shop-sync") && strcontains(google_monitoring_alert_policy.denied.documentation[0].content, "set `klaviyo_auth_key` to the right value") && strcontains(google_monitoring_alert_policy.denied.documentation[0].content, "raise `secrets_version` (it is 4 now)")
    error_message = "The alert says how to fix both kinds of secret."
  }
}

run "subscriptions_as_planned" {
  command = plan

  variables {
    subscribed_messages = { order = ["OrderCreated"] }
    subscribed_changes  = ["customer"]
  }

  assert {
    condition     = { for message in commercetools_subscription.messages[0].message : message.resource_type_id => message.types } == { order = tolist(["OrderCreated"]) }
    error_message = "Only the planned messages are subscribed to."
  }

  assert {
    condition     = one(commercetools_subscription.changes[0].changes[*].resource_type_ids) == tolist(["customer"])
    error_message = "Only the planned changes are subscribed to."
  }
}

run "standalone_prices_with_their_scope" {
  command = plan

  variables {
    ct_scope = "view_products:shop view_standalone_prices:shop"
  }

  assert {
    condition     = contains([for message in commercetools_subscription.messages[0].message : message.resource_type_id], "standalone-price")
    error_message = "With the scope for standalone prices their messages are subscribed to."
  }
}

run "nothing_of_a_kind_is_consumed" {
  command = plan

  variables {
    subscribed_changes = []
  }

  assert {
    condition     = length(commercetools_subscription.messages) == 1 && length(commercetools_subscription.changes) == 0 && output.commercetools_subscriptions == ["klaviyo-sync-messages"]
    error_message = "There is no empty subscription, as commercetools refuses it."
  }
}

run "subscriptions_off" {
  variables {
    commercetools_subscriptions = false
    pubsub_agent_token_creator  = true
  }

  assert {
    condition     = length(commercetools_subscription.messages) + length(commercetools_subscription.changes) == 0 && length(output.commercetools_subscriptions) == 0
    error_message = "Terraform creates no subscriptions."
  }

  assert {
    condition     = google_pubsub_topic_iam_member.commercetools_publishes.topic == output.topic
    error_message = "commercetools may still publish."
  }

  assert {
    condition     = google_service_account_iam_member.agent_makes_tokens[0].role == "roles/iam.serviceAccountTokenCreator" && google_service_account_iam_member.agent_makes_tokens[0].service_account_id == google_service_account.push.id
    error_message = "Pub/Sub's agent may create tokens for the push account only."
  }
}

run "no_recipient_for_alerts" {
  command = plan

  variables {
    alert_emails = []
  }

  expect_failures = [check.alerts_have_recipients]
}

run "a_channel_is_a_recipient" {
  command = plan

  variables {
    alert_emails          = []
    notification_channels = ["projects/shop-sync/notificationChannels/1"]
  }
}
