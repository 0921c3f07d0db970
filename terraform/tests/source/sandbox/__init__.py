"""Stand-in for code that the archive must not contain."""
