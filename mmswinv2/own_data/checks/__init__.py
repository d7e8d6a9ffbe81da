"""What is wrong with data, and with a config for them, before a run meets it."""
