"""Finding requests: lists, full text, saved views, exports."""
