"""Errors meant for people, and the one way in which every command line reports them.

A person who makes a mistake reads one sentence that says what is wrong, where, what was expected
and what to do. A traceback is only ever seen for a defect of Weft itself.
"""

import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 plus the number of SIGINT, as shells report it."""


class WeftError(Exception):
    """Something that the user can put right, told in one sentence.

    Members
    -------
    exit_status : int
        Status with which a command line ends when it reports this error. Subclasses may differ.
    """

    exit_status = 2


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Run the body of a command line; usable in a ``with`` statement and as a decorator.

    A :class:`WeftError` becomes ``weft: <sentence>`` on stderr and its exit status; Ctrl-C ends
    quietly with status 130; a reader that went away (``... | head``) is no error at all.
    """
    try:
        yield
        sys.stdout.flush()
    except WeftError as error:
        print(f"weft: {error}", file=sys.stderr)
        raise SystemExit(error.exit_status) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # The interpreter flushes stdout once more as it exits, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(
            "weft: no space is left where the output goes; make room and run again", file=sys.stderr
        )
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(WeftError.exit_status) from None


def write_whole(path: str | os.PathLike, content: bytes | Callable[[BinaryIO], object]) -> None:
    """Write a file so that readers see either the old contents or the new ones, never a part.

    Parameters
    ----------
    path : path
        File to create or replace. Missing folders are created.
    content : bytes or callable
        The contents, or a function that writes them to the binary file that it is given.

    Raises
    ------
    WeftError
        If the folder cannot be written, naming the folder.
    """
    path = Path(path)
    make_folder_for(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
        # mkstemp makes files private to the user; results are ordinary files.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from None
        raise


def make_folder_for(path: str | os.PathLike) -> None:
    """Create the folder of a file that will be written, so that long work is not done in vain.

    Raises
    ------
    WeftError
        If the folder cannot be made or written, naming it.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    if not os.access(path.parent, os.W_OK):
        raise _unwritable(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def _unwritable(path: Path, error: OSError) -> WeftError:
    return WeftError(
        f"cannot write {path.name} in the folder {path.parent}: {error.strerror or error}; "
        "choose a folder that can be written and has space left"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
