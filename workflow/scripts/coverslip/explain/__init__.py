"""Feature attribution: maps of what a prediction rests on, and tests of them."""
