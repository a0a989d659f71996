"""That somebody looked whether the data of an organization are true."""
