"""The config: its models, and how it is completed and checked."""
