"""``python -m boards load``: put a weight image into a board's external memory."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

from boards import gateware
from boards.catalogue import BOARDS, find_board
from boards.commands.chat import TOKEN_TIMEOUT
from boards.host.memory import load as load_into
from boards.host.ports import find_port
from golden import checked
from hdl.external.image_file import opened
from sim.host import Link
from sim.progress import progress
from sim.serial_port import SerialPort
from sim.setup.console import step


def load(
    file: Annotated[Path, checked.file(help="The image, as `make image` writes it.")],
    board: Annotated[str, checked.choice(of=BOARDS, help="Which is attached.")] = "arty",
    port: Annotated[
        Path | None, checked.file(help="Its serial port; it is searched for if none.")
    ] = None,
) -> None:
    """Put a weight image into the memory behind a board's chip; run again, it goes on or verifies.

    The bitstream of the same model must be in the chip.
    """
    image = opened(file)
    size = image.header.data_bytes
    with step(f"verifying {file}") as note:
        image.check(progress(size, note))

    def find() -> str:
        return find_port(find_board(board)) if port is None else str(port)

    with closing(SerialPort(find, gateware.BAUD)) as carrier:
        link = Link(carrier, token_timeout=TOKEN_TIMEOUT)
        with step(f"loading {image.header.model} into {board}") as note:
            done = load_into(link, image, gateware.BAUD, progress(size, note))
    print(f"{done.sent:,} bytes sent, {done.kept:,} lay there already; all of them are right")
