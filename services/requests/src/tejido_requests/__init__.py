"""Tejido: requests."""
