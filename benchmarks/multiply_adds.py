"""Multiply-adds of a network: what its time on a processor is measured against."""

from typing import Any

import tensorflow as tf


def per_pixel(network: Any, side: int = 256) -> float:
    """Multiply-adds that a network spends on each pixel of an image.

    Half of the floating-point operations that TensorFlow's profiler counts in its graph.

    Args:
        network: Keras model of one input, float32 (N, H, W, C).
        side: of the image that is counted, in pixels.
    """
    given = tf.TensorSpec((1, side, side, network.inputs[0].shape[-1]), tf.float32)
    graph = tf.function(network).get_concrete_function(given).graph
    profiler = tf.compat.v1.profiler
    counts = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    told = profiler.profile(graph, options=counts.with_empty_output().build())
    return told.total_float_ops / 2 / side**2
