"""Search of hyper-parameters: sampled trials, and successive halving of them in rungs."""
