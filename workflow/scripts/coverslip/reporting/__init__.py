"""Figures, notebooks, the report and the table of results."""
