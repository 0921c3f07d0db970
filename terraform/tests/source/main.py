"""Stands for main.py: the archive holds it."""
