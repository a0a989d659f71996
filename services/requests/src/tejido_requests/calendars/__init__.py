"""Closures as records, versioned; and the calendars that follow from them."""
