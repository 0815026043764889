"""The formulas once more, in plain NumPy and float64, sharing no code with the package.

Slow and literal on purpose: this is what the fast code is compared with. A model is a plain dict
of arrays, named as in the ``state_dict`` of a ``DINOv3ViTModel`` of transformers.
"""

from __future__ import annotations

import math

import numpy as np

EPSILON = 1e-8
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
REGISTERS = 4
ROPE_THETA = 100.0
LAYER_NORM_EPSILON = 1e-5


# --- images -------------------------------------------------------------------------------------


def to_rgb(image):
    """RGB in [0, 1]: 8-bit colour by 255, everything else by its percentiles 0.1 and 99.9."""
    if image.ndim == 3 and image.dtype == np.uint8:
        return image[:, :, :3] / 255.0
    if image.ndim == 3:
        return apply_window(image[:, :, :3], *percentile_window(image[:, :, :3]))
    gray = apply_window(image, *percentile_window(image))
    return np.stack([gray] * 3, axis=-1)


def percentile_window(intensities):
    values = np.sort(intensities.astype(np.float64).ravel())

    def percentile(percent):
        position = percent / 100 * (len(values) - 1)
        below = math.floor(position)
        above = min(below + 1, len(values) - 1)
        return values[below] + (position - below) * (values[above] - values[below])

    low, high = percentile(0.1), percentile(99.9)
    return (low, high) if low < high else (values[0], values[-1])


def apply_window(colour, low, high):
    if low == high:
        return np.zeros(colour.shape)
    return np.clip((colour.astype(np.float64) - low) / (high - low), 0.0, 1.0)


def pad(rgb, patch_size=16):
    """Zeros at the right and the bottom, up to multiples of the patch size."""
    height, width, channels = rgb.shape
    padded = np.zeros(
        (
            math.ceil(height / patch_size) * patch_size,
            math.ceil(width / patch_size) * patch_size,
            channels,
        )
    )
    padded[:height, :width] = rgb
    return padded


def standardize(padded, mean=IMAGENET_MEAN, std=IMAGENET_STD):
    return (padded - np.array(mean)) / np.array(std)


# --- the transformer ----------------------------------------------------------------------------


class Weights:
    """A state dict whose blocks may be called ``layer.N.`` or ``model.layer.N.``."""

    def __init__(self, arrays):
        self.arrays = {
            key.removeprefix("model."): np.asarray(value, np.float64)
            for key, value in arrays.items()
        }
        blocks = [int(key.split(".")[1]) for key in self.arrays if key.startswith("layer.")]
        self.depth = 1 + max(blocks)

    def __getitem__(self, key):
        return self.arrays[key]

    def __contains__(self, key):
        return key in self.arrays

    def linear(self, name, x):
        y = x @ self.arrays[f"{name}.weight"].T
        return y + self.arrays[f"{name}.bias"] if f"{name}.bias" in self.arrays else y

    def layer_norm(self, name, x):
        mean = x.mean(axis=-1, keepdims=True)
        variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
        unit = (x - mean) / np.sqrt(variance + LAYER_NORM_EPSILON)
        return unit * self.arrays[f"{name}.weight"] + self.arrays[f"{name}.bias"]


_erf = np.vectorize(math.erf, otypes=[float])


def gelu(x):
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(x):
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def embed_patches(standardized, weights):
    """Each P × P × 3 patch, row by row, times the kernel of the patch embedding."""
    kernel = weights["embeddings.patch_embeddings.weight"]  # (D, 3, P, P)
    bias = weights["embeddings.patch_embeddings.bias"]
    side = kernel.shape[2]
    tokens = []
    for top in range(0, standardized.shape[0], side):
        for left in range(0, standardized.shape[1], side):
            patch = standardized[top : top + side, left : left + side].transpose(2, 0, 1)
            tokens.append((kernel * patch).sum(axis=(1, 2, 3)) + bias)
    return np.array(tokens)


def rope_angles(rows, columns, head_dim):
    """One angle per patch and channel of a head, for the coordinates of this very input.

    A patch's centre is (y, x) in [-1, 1]. The first quarter of the channels turns with y, the
    second with x, at 2π divided by the periods theta**(4k / head_dim); the other half repeats
    them.
    """
    quarter = head_dim // 4
    frequencies = [ROPE_THETA ** -(4 * k / head_dim) for k in range(quarter)]
    angles = np.empty((rows * columns, head_dim))
    for row in range(rows):
        for column in range(columns):
            y = 2 * (row + 0.5) / rows - 1
            x = 2 * (column + 0.5) / columns - 1
            half = [2 * math.pi * y * f for f in frequencies]
            half += [2 * math.pi * x * f for f in frequencies]
            angles[row * columns + column] = half + half
    return angles


def rotate(vectors, angles):
    """Turn each pair (channel k, channel k + head_dim / 2) by its angle."""
    half = vectors.shape[-1] // 2
    first, second = vectors[..., :half], vectors[..., half:]
    cos, sin = np.cos(angles[..., :half]), np.sin(angles[..., :half])
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def attention(weights, block, x, angles, heads):
    name = f"layer.{block}.attention"
    prefix = len(x) - len(angles)
    head_dim = x.shape[1] // heads
    query = weights.linear(f"{name}.q_proj", x)
    key = weights.linear(f"{name}.k_proj", x)
    value = weights.linear(f"{name}.v_proj", x)
    mixed = []
    for head in range(heads):
        part = slice(head * head_dim, (head + 1) * head_dim)
        q, k = query[:, part].copy(), key[:, part].copy()
        q[prefix:], k[prefix:] = rotate(q[prefix:], angles), rotate(k[prefix:], angles)
        mixed.append(softmax(q @ k.T / math.sqrt(head_dim)) @ value[:, part])
    return weights.linear(f"{name}.o_proj", np.concatenate(mixed, axis=1))


def feed_forward(weights, block, x):
    name = f"layer.{block}.mlp"
    up = weights.linear(f"{name}.up_proj", x)
    if f"{name}.gate_proj.weight" in weights:  # SwiGLU
        hidden = silu(weights.linear(f"{name}.gate_proj", x)) * up
    else:
        hidden = gelu(up)
    return weights.linear(f"{name}.down_proj", hidden)


def vit(standardized, arrays, heads):
    """All tokens after the last layer norm: CLS, registers, patches row by row."""
    weights = Weights(arrays)
    patches = embed_patches(standardized, weights)
    cls = weights["embeddings.cls_token"].reshape(1, -1)
    registers = weights["embeddings.register_tokens"].reshape(REGISTERS, -1)
    x = np.concatenate([cls, registers, patches])
    side = weights["embeddings.patch_embeddings.weight"].shape[2]
    rows, columns = standardized.shape[0] // side, standardized.shape[1] // side
    angles = rope_angles(rows, columns, x.shape[1] // heads)
    for block in range(weights.depth):
        name = f"layer.{block}"
        inner = attention(weights, block, weights.layer_norm(f"{name}.norm1", x), angles, heads)
        x = x + inner * weights[f"{name}.layer_scale1.lambda1"]
        inner = feed_forward(weights, block, weights.layer_norm(f"{name}.norm2", x))
        x = x + inner * weights[f"{name}.layer_scale2.lambda1"]
    return weights.layer_norm("norm", x)


def patch_embeddings(rgb, arrays, heads, mean=IMAGENET_MEAN, std=IMAGENET_STD):
    """Unit patch embeddings of an RGB image in [0, 1]."""
    tokens = vit(standardize(pad(rgb), mean, std), arrays, heads)
    return l2_normalize(tokens[1 + REGISTERS :])


# --- similarity ---------------------------------------------------------------------------------


def l2_normalize(vectors):
    norms = np.sqrt((vectors**2).sum(axis=-1, keepdims=True))
    return vectors / (norms + EPSILON)


def patch_index(x, y, width, patch_size=16):
    columns = math.ceil(width / patch_size)
    return math.floor(y / patch_size) * columns + math.floor(x / patch_size)


def prototype(unit_vectors):
    """The query of several clicks: the mean of their unit vectors, made a unit vector again."""
    return l2_normalize(np.mean(unit_vectors, axis=0))


def learned_direction(positives, negatives, penalty=1.0):
    """Ridge regression of +1 and -1 as one least-squares problem with more rows; w and its offset.

    Positives and negatives weigh the same; the offset is not penalised.
    """
    rows = np.concatenate([positives, negatives])
    signs = np.array([1.0] * len(positives) + [-1.0] * len(negatives))
    weights = np.array(
        [len(rows) / 2 / len(positives)] * len(positives)
        + [len(rows) / 2 / len(negatives)] * len(negatives)
    )
    dim = rows.shape[1]
    data = np.sqrt(weights)[:, None] * np.hstack([rows, np.ones((len(rows), 1))])
    penalised = math.sqrt(penalty) * np.eye(dim, dim + 1)
    solution, *_ = np.linalg.lstsq(
        np.concatenate([data, penalised]),
        np.concatenate([np.sqrt(weights) * signs, np.zeros(dim)]),
        rcond=None,
    )
    length = np.linalg.norm(solution[:-1])
    return solution[:-1] / length, solution[-1] / length


def cosine_map(unit_vectors, query, shape, patch_size=16):
    height, width = shape
    scores = np.array([float(np.dot(vector, query)) for vector in unit_vectors])
    return scores.reshape(math.ceil(height / patch_size), math.ceil(width / patch_size))


def min_max(scores):
    return (scores - scores.min()) / (scores.max() - scores.min() + EPSILON)


def upsample(scores, shape, patch_size=16):
    """Each pixel of the unpadded image takes the value of the patch that it lies in."""
    full = np.kron(scores, np.ones((patch_size, patch_size)))
    return full[: shape[0], : shape[1]]
