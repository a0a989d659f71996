"""The boxes of messages in the application."""
