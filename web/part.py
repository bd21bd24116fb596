"""One process of a running installation, as the supervisor starts it: `python -m web.part web|printers|tasks ...`.

It loads what this part needs and nothing else, which is half of a start; people use the same parts by `etabli`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
from pathlib import Path

from web.installation import join_database
from web.supervisor import die_with_parent


def main(name: str, arguments: list[str]) -> None:
    """`web FD`, `printers`, or `tasks CONCURRENCY QUEUE...`, on the data directory of the environment."""
    join_database(Path(os.environ["ETABLI_DATA_DIR"]))
    if name == "web":
        serve_pages(socket.socket(fileno=int(arguments[0])))
    elif name == "printers":
        watch_printers()
    else:
        work_on(arguments[1:], int(arguments[0]))


def serve_pages(listening: socket.socket) -> None:
    from web.serve import load, serve  # noqa: PLC0415  each part loads its own

    load()
    loaded()
    serve(listening)


def watch_printers() -> None:
    from printers.watch import run_watchers  # noqa: PLC0415

    loaded()
    asyncio.run(run_watchers())


def work_on(queues: list[str], concurrency: int) -> None:
    from api.tasks import run_worker  # noqa: PLC0415

    loaded()
    run_worker(queues, concurrency)


def loaded() -> None:
    """What is loaded stays for ever: the collector, off until now, need not look at it again."""
    gc.freeze()
    gc.enable()


if __name__ == "__main__":
    gc.disable()
    die_with_parent()
    main(sys.argv[1], sys.argv[2:])
