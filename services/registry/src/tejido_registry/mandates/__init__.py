"""Who holds office in an organization, and until when."""
