"""From an archive of images to a dataset and its splits."""
