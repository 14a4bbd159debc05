"""INT8: calibrators, which choose the ranges of tensors from what they hold on real inputs."""
