"""The page of `manage.py demo --serve`: what goes through the function, as it happens."""
