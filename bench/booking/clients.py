"""People at their browsers: one keep-alive connection each, in threads of several processes, all at once."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

Answer = tuple[int, float]  # HTTP status, seconds


class Client:
    """One keep-alive connection of one person."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, bytes, float]:
        """Status, body and seconds of one request."""
        start_s = time.perf_counter()
        self.connection.request(method, path, json.dumps(body) if body is not None else None, self.headers)
        answer = self.connection.getresponse()
        data = answer.read()
        return answer.status, data, time.perf_counter() - start_s

    def book(self, resource_id: int, start: datetime, end: datetime) -> tuple[int, bytes, float]:
        body = {"resource_id": resource_id, "start": start.isoformat(), "end": end.isoformat()}
        return self.send("POST", "/api/v1/bookings", body)


# (client, its number in the crowd, parameters of the work)
Work = Callable[[Client, int, Any], list[Answer]]


def run_threads(work: Work, port: int, tokens: list[str], first: int, parameters: Any, results: Any) -> None:
    """One process of the crowd: a thread per token."""
    answers: list[Answer] = []
    # Connections are opened before the barrier, so that all requests really come at once.
    ready = threading.Barrier(len(tokens), timeout=60)

    def run_client(n: int) -> None:
        client = Client(port, tokens[n])
        client.send("GET", "/healthz")
        ready.wait()
        answers.extend(work(client, first + n, parameters))

    threads = [threading.Thread(target=run_client, args=(n,)) for n in range(len(tokens))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(answers)


def run_crowd(
    work: Work, port: int, tokens: list[str], *, parameters: Any = None, processes: int = 2
) -> tuple[list[Answer], float]:
    """Each token is one client, spread over processes; all answers, and the seconds that the whole took."""
    # One interpreter alone would be measured instead of the server.
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    share = -(-len(tokens) // processes)
    parts = [(n, tokens[n : n + share]) for n in range(0, len(tokens), share)]
    workers = [
        context.Process(target=run_threads, args=(work, port, part, n, parameters, results)) for n, part in parts
    ]
    start_s = time.perf_counter()
    for worker in workers:
        worker.start()
    # The queue is emptied before the processes are joined: one with a full pipe would not end.
    answers = [answer for _ in workers for answer in results.get(timeout=900)]
    seconds = time.perf_counter() - start_s
    for worker in workers:
        worker.join()
    return answers, seconds


def time_gets(client: Client, path: str, count: int) -> list[float]:
    """Seconds of each GET. The first tenth warms caches up and is left out."""
    answers = [client.send("GET", path) for _ in range(count)]
    if failures := [(status, data[:300]) for status, data, _ in answers if status != 200]:
        raise SystemExit(f"{path}: {failures[0]}")
    return [seconds for _, _, seconds in answers[count // 10 :]]


def p99_ms(seconds: list[float]) -> float:
    ranked = sorted(seconds)
    return round(ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))] * 1000, 1)


def format_instant(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
