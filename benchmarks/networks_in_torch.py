"""The losses of larger networks in PyTorch, with its own convolution, attention and LSTM. `params` is flat."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.works import HEADS, LAYER_NORM_EPS

Layouts = dict[int, tuple[int, ...]] | None  # which parameters PyTorch wants with other axes first

CONVNET_LAYOUTS: Layouts = {0: (3, 2, 0, 1), 2: (3, 2, 0, 1)}
LSTM_LAYOUTS: Layouts = {0: (1, 0), 1: (1, 0)}


def convnet(params: Any, x: Any, labels: Any) -> Any:
    w, b, v, c, W, B, V, C = params
    x = F.relu(F.conv2d(x.permute(0, 3, 1, 2), w, b))
    x = F.max_pool2d(F.relu(F.conv2d(x, v, c)), 2)
    x = x.permute(0, 2, 3, 1).flatten(1)
    return F.cross_entropy(torch.addmm(C, F.relu(torch.addmm(B, x, W)), V), labels)


def block(layer: Any, x: Any) -> Any:
    g1, s1, Wq, Wk, Wv, Wo, g2, s2, W1, b1, W2, b2 = layer
    batch, tokens, width = x.shape
    h = F.layer_norm(x, (width,), g1, s1, LAYER_NORM_EPS)
    q, k, v = ((h @ W).view(batch, tokens, HEADS, width // HEADS).transpose(1, 2) for W in (Wq, Wk, Wv))
    x = x + F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape) @ Wo
    h = F.layer_norm(x, (width,), g2, s2, LAYER_NORM_EPS)
    return x + F.gelu(h @ W1 + b1, approximate="tanh") @ W2 + b2


def transformer(params: Any, x: Any, y: Any) -> Any:
    for i in range(0, len(params), 12):
        x = block(params[i : i + 12], x)
    return F.mse_loss(x, y)


def lstm(params: Any, x: Any, labels: Any) -> Any:
    W, U, b, V, c = params
    zero = x.new_zeros(1, x.shape[1], U.shape[1])
    _, h, _ = torch._VF.lstm(x, (zero, zero), (W, U, b, torch.zeros_like(b)), True, 1, 0.0, False, False, False)
    return F.cross_entropy(torch.addmm(c, h[0], V), labels)
