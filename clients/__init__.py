"""Everything that leaves the process: commercetools, Klaviyo, the dead-letter topic, and the rules of trying again."""
