"""Quantised tensors, kept as they are in the file that they came in.

In :class:`Blocks` 32 integer codes of 4 or 8 bits share a scale, and for one kind a minimum; in
:class:`Rows` a whole row does, or the whole tensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GROUP = 32
"""Elements that share a scale: neighbours in a row."""

KINDS = ("Q4_0", "Q4_1", "Q8_0")
GROUP_BYTES = {"Q4_0": 2 + 16, "Q4_1": 2 + 2 + 16, "Q8_0": 2 + 32}
"""A scale, the minimum of Q4_1, and the codes."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """A quantised matrix; GGML's formats.

    Parameters
    ----------
    kind : str
        ``"Q4_0"``: scale * code, codes from -8 to 7; ``"Q4_1"``: scale * code + minimum, codes from
        0 to 15; ``"Q8_0"``: scale * code, codes from -128 to 127.
    raw : array of uint8, [rows, groups, GROUP_BYTES[kind]]
        The bytes of the file. In 4-bit kinds the low halves hold elements 0 to 15 of a group, the
        high halves 16 to 31.
    """

    kind: str
    raw: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and elements in a row."""
        rows, groups, _ = self.raw.shape
        return rows, groups * GROUP

    @property
    def has_groups(self) -> bool:
        """Whether codes have 4 bits: those that a plan takes as they are."""
        return self.kind in ("Q4_0", "Q4_1")

    @property
    def scales(self) -> np.ndarray:
        """Float16 scales, [rows, groups]."""
        return self._halves(0)

    @property
    def minima(self) -> np.ndarray | None:
        """Float16 minima, [rows, groups], of Q4_1; None of the others."""
        return self._halves(2) if self.kind == "Q4_1" else None

    @property
    def codes(self) -> np.ndarray:
        """Int8 codes, [rows, columns]."""
        if self.kind == "Q8_0":
            return self.raw[..., 2:].view(np.int8).reshape(self.shape)
        packed = self.raw[..., -GROUP // 2 :]
        codes = np.concatenate([packed & 15, packed >> 4], axis=-1).astype(np.int8)
        return (codes - 8 if self.kind == "Q4_0" else codes).reshape(self.shape)

    def dequantise(self) -> np.ndarray:
        """The values in float32, [rows, columns]; what is not finite is left for others to refuse.

        Products of a float16 and a code are exact; adding the minimum rounds once.
        """
        values = self.codes.astype(np.float32)
        groups = values.reshape(*self.scales.shape, GROUP)
        with np.errstate(invalid="ignore"):
            groups *= self.scales[..., None].astype(np.float32)
            if self.minima is not None:
                groups += self.minima[..., None].astype(np.float32)
        return values

    def _halves(self, offset: int) -> np.ndarray:
        pair = np.ascontiguousarray(self.raw[..., offset : offset + 2])
        return pair.view("<f2")[..., 0]


@dataclass(frozen=True, eq=False)
class Rows:
    """A quantised matrix; ONNX's 8-bit format: scale * (code - zero point).

    Parameters
    ----------
    codes : array of int8 or uint8, [rows, columns]
    scales : array of float32, [rows]
    zero_points : array of the codes' type, [rows]
    """

    codes: np.ndarray
    scales: np.ndarray
    zero_points: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and elements in a row."""
        return self.codes.shape

    def dequantise(self) -> np.ndarray:
        """The values in float32, [rows, columns]: an exact difference, and one rounding."""
        values = self.codes.astype(np.float32)
        values -= self.zero_points[:, None].astype(np.float32)
        values *= self.scales[:, None]
        return values
