"""Stands for a package that the archive holds."""
