"""Every parameter: type, limits, default, description."""
