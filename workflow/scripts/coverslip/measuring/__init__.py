"""Own pictures: tables, overlays and a page."""
