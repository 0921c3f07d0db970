"""Stands for delivery.py: the archive holds it."""
