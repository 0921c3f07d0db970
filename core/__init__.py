"""The ground: errors, settings, logs, locks, the notification that arrives, and JSON. It imports no other folder."""
