"""Stands for pipeline.py: the archive holds it."""
