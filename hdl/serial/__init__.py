"""A core for small chips: one datapath that executes every stage, one after the other."""
