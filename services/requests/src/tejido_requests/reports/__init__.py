"""Figures, the periodic report and open data. What each figure means is said once, in `queries`."""
