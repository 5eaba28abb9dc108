"""The memory beside a board's chip: LiteDRAM's controller and PHY, and what makes them ready."""
