"""Data that the hosts cannot read, and the generated scenes of the mini data."""
