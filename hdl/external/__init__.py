"""Units whose weights, keys and values live in a memory outside the chip, behind one port."""
