"""The bytes that lie in an external memory: weights, and keys and values.

Where each of them lies is in :mod:`hdl.external.layout`.  Beats are little-endian: byte k of the
memory is byte ``k % (port / 8)`` of beat ``k // (port / 8)``, bits 8 * that on.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from golden.blocks import GROUP
from golden.formats import halves
from golden.stage import Bias, Embed, Linear, Norm
from golden.stages.attention import Cache
from hdl.external.layout import Biases, Gains, Groups, Layout, Rows, Tensor


def memory_bytes(layout: Layout) -> np.ndarray:
    """All weights [layout.weights_end * port / 8]: the memory from beat 0 on."""
    memory = np.empty(layout.weights_end * layout.port // 8, np.uint8)
    for tensor in layout.tensors:
        memory[place(tensor)] = tensor_bytes(tensor)
    return memory


def place(tensor: Tensor) -> slice:
    """The bytes of the memory that a tensor takes."""
    beat = tensor.form.port // 8
    return slice(tensor.first * beat, (tensor.first + tensor.form.beats) * beat)


def tensor_bytes(tensor: Tensor) -> np.ndarray:
    """The bytes of a tensor, its padding included."""
    stage, form = tensor.stage, tensor.form
    if isinstance(stage, Norm):
        return _elements(stage.gain, form)
    if isinstance(stage, Bias):
        return _elements(stage.bias, form)
    return _groups(stage, form) if isinstance(form, Groups) else _rows(stage, form)


def _elements(integers: np.ndarray, form: Gains | Biases) -> np.ndarray:
    """Gains or biases, and zeros up to a whole beat."""
    memory = np.zeros(form.beats * form.port // 8, np.uint8)
    packed = integers.astype(f"<i{form.width // 8}").view(np.uint8)
    memory[: len(packed)] = packed
    return memory


def _rows(stage: Linear | Embed, form: Rows) -> np.ndarray:
    """Tiles: a beat of scales, and the codes of each row; the rows that lack at the end are cut."""
    codes = stage.tokens if isinstance(stage, Embed) else stage.weights
    beat, tiles = form.port // 8, -(-form.rows // form.tile)
    memory = np.zeros((tiles, form.tile_beats * beat), np.uint8)
    memory[:, :beat] = _float16(stage.scales, tiles * form.tile).reshape(tiles, beat)
    rows = memory[:, beat:].reshape(tiles, form.tile, form.row_beats * beat)
    whole = form.rows // form.tile
    taken = codes.astype(np.int8).view(np.uint8)
    body = taken[: whole * form.tile].reshape(whole, form.tile, form.columns)
    rows[:whole, :, : form.columns] = body
    if whole < tiles:
        rest = taken[whole * form.tile :]
        rows[whole, : len(rest), : form.columns] = rest
    return memory.reshape(-1)[: form.beats * beat]


def _groups(stage: Linear, form: Groups) -> np.ndarray:
    """Tiles: the scales and minima of their groups, and the codes of each group."""
    beat, tiles = form.port // 8, -(-form.groups // form.tile)
    head, body = form.head_beats * beat, form.tile * GROUP // 2
    padded = np.zeros((tiles * form.tile, GROUP // 2), np.uint8)
    nibbles = stage.weights.astype(np.uint8).reshape(form.groups, GROUP // 2, 2)
    padded[: form.groups] = nibbles[..., 0] | nibbles[..., 1] << 4
    pairs = np.stack([stage.scales.reshape(-1), stage.minima.reshape(-1)], axis=1)
    memory = np.empty((tiles, head + body), np.uint8)
    memory[:, :head] = _float16(pairs.reshape(-1), 2 * tiles * form.tile).reshape(tiles, head)
    memory[:, head:] = padded.reshape(tiles, body)
    return memory.reshape(-1)[: form.beats * beat]


def _float16(integers: np.ndarray, count: int) -> np.ndarray:
    """Scales or minima, and zeros up to ``count`` of them, as bytes."""
    padded = np.zeros(count, "<f2")
    padded[: len(integers)] = halves(integers)
    return padded.view(np.uint8)


def all_cache_bytes(layout: Layout, caches: Mapping) -> np.ndarray:
    """The records of all layers: the memory from ``layout.weights_end`` on.

    ``caches``: a Cache by (layer, name of the stage), as a Context has them.
    """
    name, layers = layout.attention.name, range(len(layout.plan.layers))
    return np.concatenate([cache_bytes(layout, k, caches[k, name]) for k in layers])


def cache_bytes(layout: Layout, layer: int, cache: Cache) -> np.ndarray:
    """The records of all heads and slots of a layer: the memory from ``layout.keys(layer, 0)`` on.

    As long as the layer's whole region; slots that were never stored are zeros, as in ``cache``.
    The next layer's follow at once, and those of layer 0 follow the weights.
    """
    stage = layout.attention
    beat, slots = layout.port // 8, stage.slots
    memory = np.zeros((stage.kv_heads, layout.head_beats * beat), np.uint8)
    split = slots * layout.key_record * beat
    for head, region in enumerate(memory):
        keys = region[:split].reshape(slots, -1)
        keys[:, 0] = cache.key_exponents.astype(np.int8).view(np.uint8)
        keys[:, 1] = cache.value_exponents.astype(np.int8).view(np.uint8)
        _mantissas(keys[:, beat:], cache.keys[:, head], stage.key.width)
        _mantissas(region[split:].reshape(slots, -1), cache.values[:, head], stage.value.width)
    return memory.reshape(-1)


def _mantissas(records: np.ndarray, mantissas: np.ndarray, width: int) -> None:
    """Write mantissas [slots, d_head] into the bytes of their records [slots, bytes]."""
    data = np.ascontiguousarray(mantissas).astype(f"<i{width // 8}").view(np.uint8)
    records[:, : data.shape[1]] = data
