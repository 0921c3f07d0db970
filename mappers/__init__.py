"""commercetools JSON to Klaviyo bodies: pure functions, no I/O, no SDK."""
