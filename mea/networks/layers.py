"""Layers that several networks use."""

import torch
from torch import Tensor, nn


def convolve_time(inputs: int, outputs: int, width: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution over time, standardised and rectified; the ends are padded with 0, the common value."""
    padding = dilation * (width // 2)
    layer = nn.Conv1d(inputs, outputs, width, stride, padding, dilation)
    return nn.Sequential(layer, nn.BatchNorm1d(outputs), nn.ReLU())


def pool_time(values: Tensor) -> Tensor:
    """(B, features, time) → (B, 3 * features): mean, standard deviation and maximum over time."""
    std = (values.var(2, correction=0) + 1e-5).sqrt()
    return torch.cat([values.mean(2), std, values.amax(2)], 1)
