"""Proof of legal notices: what was sent to whom, when, and what the other side said, sealed and signed."""
