"""What every service of Tejido stands on."""
