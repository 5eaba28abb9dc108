"""Models of a board's external memory behind one port, in C++; see ``memory.h`` and docs/memory.md.

``fast`` does what LiteDRAM's controller does, without its signals; ``litedram`` is that controller
itself, with its model of the memory chip, Verilated.
"""
