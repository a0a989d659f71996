"""What happened, who saw it, the chain that proves it unbroken, and what is erased when."""
