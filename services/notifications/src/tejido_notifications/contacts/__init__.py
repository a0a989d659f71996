"""Whom messages go to: their addresses, proved by a code, and how they want to be told."""
