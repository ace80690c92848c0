"""What was made from what: digests, records, cache."""
