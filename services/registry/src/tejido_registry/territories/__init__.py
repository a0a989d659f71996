"""The shapes of areas and barrios, and what a point lies in."""
