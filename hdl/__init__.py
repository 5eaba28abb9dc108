"""What computes it: Amaranth components; the units carry the names of ``golden/stages``."""
