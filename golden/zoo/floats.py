"""Bytes of floating-point tensors as float32, by the names that safetensors files use."""

import numpy as np

DTYPES = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "BF16": "<u2"}


def float32(dtype: str, shape, data: bytes) -> np.ndarray:
    """The bytes of a tensor as float32, in memory of its own.

    float16 and bfloat16 are widened, which is exact; float64 is rounded, and what float32 cannot
    hold becomes infinite, for others to refuse.
    """
    values = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":  # the upper half of a float32; NumPy has no such type
        wide = np.empty(values.shape, np.float32)
        np.left_shift(values, 16, out=wide.view(np.uint32), dtype=np.uint32)
        return wide
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def frozen(array: np.ndarray) -> np.ndarray:
    """The array itself, which can no longer be written: a checkpoint takes it without a copy."""
    array.flags.writeable = False
    return array
