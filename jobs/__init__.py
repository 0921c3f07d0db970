"""Long runs that reuse the function's handlers and mappers. They can be killed at any time, and then resume."""
