"""Messages on their way: queued once, tried until they arrive or are given up."""
