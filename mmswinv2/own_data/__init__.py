"""A user's own pictures: what is in them, what is wrong, and a config that fits."""
