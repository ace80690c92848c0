"""Synthetic pictures with known truth."""
