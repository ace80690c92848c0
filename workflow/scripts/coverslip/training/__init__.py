"""Patches, batches, losses, the training loop and its checkpoints."""
