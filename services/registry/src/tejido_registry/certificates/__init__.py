"""Certificates (constancias): what the register says of an organization on a day, that anybody can verify, and that can be revoked."""
