"""What an organization may do on a day, and why not."""
