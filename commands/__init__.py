"""The commands of manage.py. They are not deployed."""
