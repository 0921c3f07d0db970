"""Long runs on the handlers and mappers of the function: kill them at any moment, and they go on where they were."""
