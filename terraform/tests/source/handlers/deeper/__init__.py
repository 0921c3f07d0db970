"""Stand-in for a nested package that the archive contains."""
