"""A multilayer perceptron learns to read handwritten digits, in plain NumPy.

    python examples/digits.py [--epochs N] [--out PICTURE]

The network (64-128-10), its loss and the momentum update are ordinary NumPy functions. `weft.compile` makes
one native call of the whole training step; `weft.value_and_grad` inside it writes the backward pass. For
comparison, `numpy_step` below is the same step with the backward pass derived by hand, run by NumPy.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import weft

HERE = Path(__file__).parent
BATCH, LEARNING_RATE, MOMENTUM = 64, 0.4, 0.9


def logits(params, x):
    for W, b in params[:-1]:
        x = np.maximum(x @ W + b, 0)
    W, b = params[-1]
    return x @ W + b


def loss(params, x, y):
    """Mean cross entropy of the softmax of the logits against one-hot rows y."""
    z = logits(params, x)
    z = z - np.max(z, axis=1, keepdims=True)
    log_p = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.mean(np.sum(y * log_p, axis=1))


@weft.compile(donate_argnums=(0, 1))  # the old parameters and momentum are overwritten by the new ones
def step(params, momentum, x, y, lr):
    value, grads = weft.value_and_grad(loss)(params, x, y)
    momentum = weft.tree.map(lambda m, g: MOMENTUM * m + g, momentum, grads)
    params = weft.tree.map(lambda p, m: p - lr * m, params, momentum)
    return params, momentum, value


@weft.compile
def predict(params, x):
    return np.argmax(logits(params, x), axis=1)


def numpy_step(params, momentum, x, y, lr):
    """What `step` does, differentiated by hand and updated in place."""
    (W1, b1), (W2, b2) = params
    h = np.maximum(x @ W1 + b1, 0)
    z = h @ W2 + b2
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    value = -np.mean(np.sum(y * (z - np.log(total)), axis=1))
    dz = (e / total - y) / np.float32(len(x))  # each row of y sums to one
    dh = (dz @ W2.T) * (h > 0)
    grads = [(x.T @ dh, dh.sum(axis=0)), (h.T @ dz, dz.sum(axis=0))]
    for layer, layer_momentum, layer_grads in zip(params, momentum, grads, strict=True):
        for p, m, g in zip(layer, layer_momentum, layer_grads, strict=True):
            m *= MOMENTUM
            m += g
            p -= lr * m
    return params, momentum, value


def read_digits(rng):
    """Images in [0, 1] and digits, four fifths to train on and one fifth held out."""
    table = np.loadtxt(HERE / "data" / "digits.csv.gz", delimiter=",", dtype=np.uint8)
    table = table[rng.permutation(len(table))]
    images, digits = table[:, :64].astype(np.float32) / 16, table[:, 64].astype(np.int64)
    held = len(table) // 5
    return (images[held:], digits[held:]), (images[:held], digits[:held])


def initial(rng, sizes=(64, 128, 10)):
    """He's initial weights, zero biases, and momentum at rest."""
    params = [
        ((rng.standard_normal((m, n)) * np.sqrt(2 / m)).astype(np.float32), np.zeros(n, np.float32))
        for m, n in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    return params, weft.tree.map(np.zeros_like, params)


def train(step, data, epochs, report=None):
    """The trained parameters, each step's loss, and each epoch's seconds. Every run sees the same batches."""
    rng = np.random.default_rng(1)
    params, momentum = initial(rng)
    images, digits = data
    targets = np.eye(10, dtype=np.float32)[digits]
    batches = -(-len(images) // BATCH)  # the last one is smaller
    losses, seconds = [], []
    for epoch in range(epochs):
        order = rng.permutation(len(images))
        start = time.perf_counter()
        for b in range(batches):
            rows = order[b * BATCH : (b + 1) * BATCH]
            done = len(losses) / (epochs * batches)
            lr = LEARNING_RATE * (0.5 + 0.5 * np.cos(np.pi * done)).item()
            params, momentum, value = step(params, momentum, images[rows], targets[rows], lr)
            losses.append(float(value))
        seconds.append(time.perf_counter() - start)
        if report:
            report(epoch, params, np.mean(losses[-batches:]), seconds[-1])
    return params, losses, seconds


def accuracy(params, data):
    images, digits = data
    return 100 * np.mean(predict(params, images) == digits)


def draw(path, losses, epochs, held_out, guesses):
    """The loss curve, and up to 12 of the digits that were misread, with what they were taken for."""
    try:
        import matplotlib
    except ImportError:
        print("No picture: matplotlib is not installed (pip install 'weft[examples]').")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    images, digits = held_out
    wrong = np.flatnonzero(guesses != digits)[:12]
    figure = plt.figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(5, 6))
    axes = left.subplots()
    axes.semilogy(losses, color="0.8", label="each step")
    means = np.reshape(losses, (epochs, -1)).mean(axis=1)
    axes.semilogy((np.arange(epochs) + 0.5) * len(losses) / epochs, means, label="mean of the epoch")
    axes.set(xlabel="step", ylabel="loss", title="Training")
    axes.legend()
    right.suptitle(f"Misread: {np.sum(guesses != digits)} of {len(digits)} held out")
    for cell, i in zip(right.subplots(2, 6).flat, list(wrong) + [None] * 12, strict=False):
        cell.axis("off")
        if i is not None:
            cell.imshow(images[i].reshape(8, 8), cmap="gray_r")
            cell.set_title(f"{digits[i]} as {guesses[i]}", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"Loss curve and misread digits: {path}")


def main():
    parser = argparse.ArgumentParser(description="Train a perceptron on handwritten digits with weft.")
    parser.add_argument("--epochs", type=int, default=40, metavar="N", help="passes over the data (40)")
    parser.add_argument("--out", type=Path, default=HERE / "out" / "digits.png", metavar="PICTURE")
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error("--epochs must be at least 1")

    data, held_out = read_digits(np.random.default_rng(0))
    count = len(data[0])
    print(
        f"{count} images to train on, {len(held_out[0])} held out; {BATCH} a batch, the last {count % BATCH}."
    )

    def report(epoch, params, mean_loss, seconds):
        if epoch == 0 or (epoch + 1) % max(1, args.epochs // 10) == 0:
            print(
                f"epoch {epoch + 1:3}  loss {mean_loss:.4f}  training {accuracy(params, data):6.2f} %  "
                f"held out {accuracy(params, held_out):6.2f} %  {count / seconds:11,.0f} images/s",
                flush=True,
            )

    params, losses, ours = train(step, data, args.epochs, report)
    guesses = predict(params, held_out[0])
    right = np.sum(guesses == held_out[1])
    print(f"Held out: {right} of {len(guesses)} read right, {100 * right / len(guesses):.2f} %.")

    by_hand, _, theirs = train(numpy_step, data, args.epochs)
    speed, numpy_speed = count / np.median(ours), count / np.median(theirs)
    print(f"The first epoch took {ours[0]:.2f} s with compilation; then, median epoch:")
    print(f"  weft             {speed:11,.0f} images/s")
    print(
        f"  NumPy, by hand   {numpy_speed:11,.0f} images/s; weft is {speed / numpy_speed:.1f} times as fast"
    )
    print(f"The same training by NumPy ends at {accuracy(by_hand, held_out):.2f} % held out.")
    draw(args.out, losses, args.epochs, held_out, guesses)


if __name__ == "__main__":
    main()
