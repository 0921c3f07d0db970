"""Stand-in for pipeline.py, which the archive contains."""
