"""Several callers at once, each in a thread of its own."""

from threading import Barrier, Thread


def race(work: list[object]) -> list[BaseException | None]:
    """Run all at once in threads; what each raised."""
    gate, raised = Barrier(len(work)), [None] * len(work)

    def run(index: int) -> None:
        gate.wait()
        try:
            work[index]()  # type: ignore[operator]  # callables
        except Exception as error:
            raised[index] = error  # type: ignore[call-overload]  # filled here

    threads = [Thread(target=run, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return list(raised)
