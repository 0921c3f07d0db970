"""Map commercetools JSON to Klaviyo bodies: pure functions without I/O or SDKs."""
