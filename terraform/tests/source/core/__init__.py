"""Stand-in for a package that the archive contains."""
