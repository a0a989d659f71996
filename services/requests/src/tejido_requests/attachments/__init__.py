"""Documents that citizens and officers add to a request."""
