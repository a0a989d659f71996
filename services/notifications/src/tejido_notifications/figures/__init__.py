"""What waits, what went out, what failed and how long it took."""
