"""Campaigns to visit the organizations of an area anew."""
