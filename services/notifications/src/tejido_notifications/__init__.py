"""Tejido: notifications."""
