"""What every test begins with."""

import signal


def pytest_configure() -> None:
    """Ctrl-C as on a terminal: shells start what runs in the background with it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
