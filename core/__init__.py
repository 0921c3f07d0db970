"""The base layer: errors, settings, logs, locks, incoming notifications and JSON. It imports no other folder."""
