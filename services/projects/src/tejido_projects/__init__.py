"""Tejido: projects."""
