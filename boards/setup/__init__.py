"""Sets up what bitstreams are made with, when the first of a family is built.

Place and route and the packers of ECP5, iCE40 and Gowin are wheels, installed with their hashes
(``requirements-boards.txt``) into a virtual environment of their own; those of the 7 series are
Debian packages, whose hashes are in ``xc7.lock``, unpacked and never installed.  Both are in the
folder of tools, and nothing is written elsewhere.
"""
