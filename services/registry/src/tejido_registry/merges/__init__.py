"""Organizations that were found to be one."""
