"""Calibration of class probabilities by one number, the temperature.

Networks that are trained long are surer than they are right. Dividing the logits by a temperature
before the softmax, fitted on validation pictures, mends most of that and changes no decision: Guo,
Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

BOUNDS = (0.05, 20.0)
"""Smallest and largest temperature; where every validation picture is right the likelihood has no
maximum, and the smallest one is taken."""


def fit(logits: np.ndarray, truth: np.ndarray) -> float:
    """Return the temperature with the smallest mean negative log likelihood.

    Args:
        logits: (N, K) float, of validation pictures.
        truth: (N,) int, their true classes.

    Returns:
        Within `BOUNDS`; 1 where there are no pictures.
    """
    if not len(truth):
        return 1.0
    logits = np.asarray(logits, np.float64)
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, truth].mean())

    low, high = np.log(BOUNDS)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return round(float(np.exp(found.x)), 6)


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax of logits (..., K) over a temperature: float64 (..., K), sum 1."""
    return softmax(np.asarray(logits, np.float64) / temperature, axis=-1)
