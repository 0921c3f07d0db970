"""Stand-in for main.py, which the archive contains."""
