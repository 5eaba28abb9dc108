"""Command line of the board side: ``python -m boards <command>``.

Each command lives in a module of its own in :mod:`boards.commands` and is listed here.
"""

from golden.errors import reporting_errors

with reporting_errors():  # imports take long enough to be interrupted
    from boards.commands.alone import alone
    from boards.commands.baselines import baselines
    from boards.commands.bitstream import bitstream
    from boards.commands.boards import boards
    from boards.commands.chat import chat
    from boards.commands.count import count
    from boards.commands.gatesim import gatesim
    from boards.commands.load import load
    from boards.commands.program import program
    from boards.commands.sizes import sizes
    from golden.cli import application, run

    app = application("Put the gateware onto boards, and talk to it.")
    for command in (
        alone,
        baselines,
        bitstream,
        boards,
        chat,
        count,
        gatesim,
        load,
        program,
        sizes,
    ):
        app.command()(command)

    if __name__ == "__main__":
        run(app, "python -m boards")
