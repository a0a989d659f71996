"""Tejido: registry."""
