"""The citizen's side, without an account."""
