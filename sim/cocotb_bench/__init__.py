"""Tests that run inside cocotb; :mod:`sim.cocotb_runner` starts them."""
