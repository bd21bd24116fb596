"""One process of a running installation, as the supervisor starts it: `python -m web.process web|printers|tasks ...`.

People start the same processes by `etabli`. This module skips the command line, and each process imports only what it
needs: that halves the time of a start.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import socket
import sys
from pathlib import Path

from api.logs import configure_logs
from web.installation import join_database
from web.supervisor import die_with_parent


def main(name: str, arguments: list[str]) -> None:
    """`web FD`, `printers`, or `tasks QUEUE=AT_ONCE...`, on the data directory of the environment."""
    configure_logs()
    # The supervisor has started and migrated the database; here it is only joined.
    join_database(Path(os.environ["ETABLI_DATA_DIR"]))
    if name == "web":
        serve_pages(socket.socket(fileno=int(arguments[0])))
    elif name == "printers":
        watch_printers()
    else:
        work_on({queue: int(at_once) for queue, _, at_once in (argument.partition("=") for argument in arguments)})


def serve_pages(listening: socket.socket) -> None:
    from web.serve import load, serve  # noqa: PLC0415  each process loads its own

    load()
    keep_loaded()
    serve(listening)


def watch_printers() -> None:
    from printers.watch import run_process  # noqa: PLC0415

    keep_loaded()
    run_process()


def work_on(queues: dict[str, int]) -> None:
    from api.worker import run_worker  # noqa: PLC0415

    keep_loaded()
    run_worker(queues)


def keep_loaded() -> None:
    """Exempt what is loaded from garbage collection: it stays for ever, and scanning it again costs time."""
    gc.freeze()
    gc.enable()


if __name__ == "__main__":
    gc.disable()  # Imports create no garbage worth a collection; `keep_loaded` turns it on again.
    die_with_parent()
    faulthandler.register(signal.SIGUSR1)  # The supervisor asks a silent process where it stands before it kills it.
    main(sys.argv[1], sys.argv[2:])
