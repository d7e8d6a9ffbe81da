"""What a config costs: memory, time, and the windows within a budget."""
