"""Models: networks and K-means, their folders, and their predictions."""
