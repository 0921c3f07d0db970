"""Stands for code that the archive must not hold."""
