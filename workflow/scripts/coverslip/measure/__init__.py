"""Own images with a trained model: counts, masks, tables, a page."""
