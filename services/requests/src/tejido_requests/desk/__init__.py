"""What officers do: routing, work and the legal acts in the life of a request."""
