"""What comes back: reports of mail servers and providers that a message did not arrive after all."""
