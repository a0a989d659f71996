"""The vault: documents handed in once, which serve every procedure until they expire. Each view of one is recorded."""
