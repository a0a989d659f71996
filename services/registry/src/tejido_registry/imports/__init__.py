"""Other registers' files, brought in."""
