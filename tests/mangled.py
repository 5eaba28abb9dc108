"""Frames as they arrive over bad lines."""

import random

from golden.protocol import ESCAPE, FLAG, Frame, encode


def mangled(rng: random.Random, room: int) -> bytes:
    """Bytes that went wrong in one of many ways, with nothing to say where a frame ends.

    Frames that are whole have numbers below 128.
    """
    good = encode(Frame(rng.randrange(256), rng.randrange(128), rng.randbytes(rng.randrange(room))))
    cut = rng.randrange(len(good))
    other = encode(Frame(2, 3, rng.randbytes(5)))
    flipped = bytearray(good)
    flipped[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
    return rng.choice(
        [
            rng.randbytes(rng.randrange(60)),
            bytes(rng.choice([FLAG, ESCAPE, 0, 1]) for _ in range(30)),
            good[:cut],
            good[cut:],
            bytes(flipped),
            good[:cut] + other + good[cut:],
            encode(Frame(1, 2, rng.randbytes(100))),
            good[:cut] + good[cut + 1 :],
        ]
    )
