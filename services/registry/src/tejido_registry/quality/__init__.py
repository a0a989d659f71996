"""How far the register can be trusted: what is verified, in office, on the map and reachable, and what waits."""
