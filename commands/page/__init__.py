"""The page of `manage.py demo --serve`: every message on its way through the function, live."""
