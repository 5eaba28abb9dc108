"""The host program: talks to a board over its serial port, and loads bitstreams into it."""
