"""Commands for people, behind manage.py. Nothing here is deployed."""
