"""What the rules of the workflow ask for: paths, input and params functions. Reads no data."""
