"""Models: networks and K-means, their folders, and what they say of images."""
