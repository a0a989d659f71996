"""Runs Tejido on one machine without Docker."""
