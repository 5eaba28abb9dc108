"""Command line of the simulation side: ``python -m sim <command>``.

Each command lives in a module of its own in :mod:`sim.commands` and is listed here.
"""

from golden.errors import reporting_errors

with reporting_errors():  # imports take long enough to be interrupted
    from golden.cli import application, run
    from sim.commands.image import image
    from sim.commands.image_info import image_info
    from sim.commands.memory import memory
    from sim.commands.results import results
    from sim.commands.run import run as run_command
    from sim.commands.verilog import verilog
    from sim.commands.wave import wave

    app = application("Simulate the gateware, look into it, and account for what it does.")
    app.command("run")(run_command)
    app.command("wave")(wave)
    app.command("verilog")(verilog)
    app.command("image")(image)
    app.command("image-info")(image_info)
    app.command("results")(results)
    app.command("memory")(memory)

    if __name__ == "__main__":
        run(app, "python -m sim")
