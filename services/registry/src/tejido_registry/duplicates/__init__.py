"""Organizations that may be entered twice."""
