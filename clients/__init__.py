"""All calls that leave the process: commercetools, Klaviyo and the dead-letter topic, and the rules for retries."""
