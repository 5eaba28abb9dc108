"""Simulation of a netlist, the one that is packed into a bitstream, at its pins."""
