"""Calls to many organizations."""
