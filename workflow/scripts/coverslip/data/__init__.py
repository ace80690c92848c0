"""From an archive of pictures to a dataset and its splits."""
