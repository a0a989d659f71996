"""Who works on what: presence, assignment by hand, in bulk and balanced, and notes. Nothing is assigned by itself when it is filed:
an office that wants that balances as often as it likes."""
