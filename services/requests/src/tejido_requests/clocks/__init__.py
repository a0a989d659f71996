"""The clocks of a stored request: derived from its history, settled on its row, announced when a threshold passes."""
