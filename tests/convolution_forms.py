"""Convolutions as people write them in NumPy: f(x, k), k of (kernel height, width, channels in, channels out)."""

import numpy as np

windows = np.lib.stride_tricks.sliding_window_view


def _places(x, k, axes, step=1, spread=1):
    return [(x.shape[a] - spread * (n - 1) - 1) // step + 1 for a, n in zip(axes, k.shape[:2], strict=True)]


# Channels last: x is (batch, height, width, channels).


def last_tensordot(x, k):
    return np.tensordot(windows(x, k.shape[:2], axis=(1, 2)), k, axes=((3, 4, 5), (2, 0, 1)))


def last_einsum(x, k):
    return np.einsum("bhwcij,ijco->bhwo", windows(x, k.shape[:2], axis=(1, 2)), k)


def last_im2col(x, k):
    kh, kw, c, o = k.shape
    w = windows(x, (kh, kw), axis=(1, 2))
    b, m, n = w.shape[:3]
    columns = w.transpose(0, 1, 2, 4, 5, 3).reshape(b * m * n, kh * kw * c)
    return (columns @ k.reshape(kh * kw * c, o)).reshape(b, m, n, o)


def last_slices(x, k):
    m, n = _places(x, k, (1, 2))
    return sum(x[:, i : i + m, j : j + n] @ k[i, j] for i in range(k.shape[0]) for j in range(k.shape[1]))


def last_written(x, k):
    m, n = _places(x, k, (1, 2))
    y = np.zeros((x.shape[0], m, n, k.shape[3]), x.dtype)
    for i in range(k.shape[0]):
        for j in range(k.shape[1]):
            y += x[:, i : i + m, j : j + n] @ k[i, j]
    return y


def last_concatenated(x, k):
    m, n = _places(x, k, (1, 2))
    parts = [x[:, i : i + m, j : j + n] for i in range(k.shape[0]) for j in range(k.shape[1])]
    return np.concatenate(parts, axis=3) @ k.reshape(-1, k.shape[3])


def last_stacked(x, k):
    m, n = _places(x, k, (1, 2))
    parts = [x[:, i : i + m, j : j + n] for i in range(k.shape[0]) for j in range(k.shape[1])]
    columns = np.stack(parts, axis=3).reshape(len(x) * m * n, -1)
    return (columns @ k.reshape(-1, k.shape[3])).reshape(len(x), m, n, k.shape[3])


def last_padded_strided(x, k):
    x = np.pad(x, ((0, 0), (1, 1), (2, 1), (0, 0)))
    return np.tensordot(windows(x, k.shape[:2], axis=(1, 2))[:, ::2, ::2], k, axes=((3, 4, 5), (2, 0, 1)))


def last_dilated(x, k):
    kh, kw = k.shape[:2]
    w = windows(x, (2 * kh - 1, 2 * kw - 1), axis=(1, 2))[..., ::2, ::2]
    return np.tensordot(w, k, axes=((3, 4, 5), (2, 0, 1)))


def last_dilated_slices(x, k):
    m, n = _places(x, k, (1, 2), spread=2)
    every = [(i, j) for i in range(k.shape[0]) for j in range(k.shape[1])]
    return sum(x[:, 2 * i : 2 * i + m, 2 * j : 2 * j + n] @ k[i, j] for i, j in every)


def last_strided_slices(x, k):
    m, n = _places(x, k, (1, 2), step=2)
    every = [(i, j) for i in range(k.shape[0]) for j in range(k.shape[1])]
    return sum(x[:, i : i + 2 * m - 1 : 2, j : j + 2 * n - 1 : 2] @ k[i, j] for i, j in every)


# Channels first: x is (batch, channels, height, width).


def first_einsum(x, k):
    return np.einsum("bchwij,ijco->bohw", windows(x, k.shape[:2], axis=(2, 3)), k)


def first_kernel_before(x, k):
    return np.einsum("ijco,bchwij->bohw", k, windows(x, k.shape[:2], axis=(2, 3)))


def first_columns(x, k):
    kh, kw, c, o = k.shape
    w = windows(x, (kh, kw), axis=(2, 3))
    b, _, m, n = w.shape[:4]
    columns = w.transpose(1, 4, 5, 0, 2, 3).reshape(c * kh * kw, b * m * n)
    return (k.transpose(3, 2, 0, 1).reshape(o, c * kh * kw) @ columns).reshape(o, b, m, n).transpose(1, 0, 2, 3)


def first_slices(x, k):
    m, n = _places(x, k, (2, 3))
    every = [(i, j) for i in range(k.shape[0]) for j in range(k.shape[1])]
    return sum(np.einsum("bchw,co->bohw", x[:, :, i : i + m, j : j + n], k[i, j]) for i, j in every)


FORMS = {name: f for name, f in list(globals().items()) if name.startswith(("last_", "first_"))}
GRADIENT_COPIES = {"last_concatenated", "last_stacked", "last_strided_slices"}


def image(rng, name, shape, dtype):
    """An x for that form. shape: batch, height, width, channels."""
    x = rng.standard_normal(shape).astype(dtype)
    return x if name.startswith("last") else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
