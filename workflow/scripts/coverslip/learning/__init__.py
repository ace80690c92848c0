"""Training: from patches to the weights of a network."""
