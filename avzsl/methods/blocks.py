"""Parts that several methods share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def layer(inputs: int, outputs: int, dropout: float, momentum: float = 0.1) -> nn.Sequential:
    """Linear, batch norm, ReLU, dropout: (B, inputs) -> (B, outputs). Momentum is the weight of the newest batch."""
    return nn.Sequential(
        nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs, momentum=momentum), nn.ReLU(), nn.Dropout(dropout)
    )


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Return max(0, |a - p| - |a - n| + margin) for each row, (B,).

    The norm is Euclidean, with 1e-6 added to every coordinate of the difference; the papers do not say so, PyTorch's
    triplet loss, which the released code uses, does.
    """
    return functional.triplet_margin_loss(anchor, positive, negative, margin=margin, reduction="none")


def pairwise(points: Tensor, classes: Tensor) -> Tensor:
    """Return Euclidean distances (N, C) between `points` (N, D) and `classes` (C, D).

    Always from differences: the matrix-product formula loses three digits for near points in float32.
    """
    return torch.cdist(points, classes, compute_mode="donot_use_mm_for_euclid_dist")
