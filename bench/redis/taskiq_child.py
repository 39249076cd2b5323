"""Python Taskiq with the streams broker of taskiq-redis: what redis-worker.mjs is for the others.

`taskiq worker taskiq_child:broker` runs tasks as KIQ_BENCH_WORKER says; `python taskiq_child.py` reads the commands of a
producer from its standard input, one line of JSON each.
"""

import asyncio
import json
import os
import resource
import sys
import time
from typing import Any

from taskiq import TaskiqEvents
from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

try:
    import uvloop
except ImportError:
    uvloop = None

URL = os.environ["KIQ_BENCH_URL"]
PAYLOAD = {"t": 1234567890123.456, "s": "x" * 60}
WIDTH = 100
BULK = 1_000


def make_broker(queue: str, results: str) -> RedisStreamBroker:
    broker = RedisStreamBroker(url=URL, queue_name=queue)
    if results == "none":
        return broker
    return broker.with_result_backend(
        # The default is Pickle; JSON is what Kiq writes, too, and costs the same here.
        RedisAsyncResultBackend(redis_url=URL, serializer=JSONSerializer(), result_ex_time=24 * 60 * 60),
    )


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def noop(payload: dict[str, Any]) -> None:
    pass


# --- the producer


async def windowed(count: int, width: int, send: Any) -> None:
    for sent in range(0, count, width):
        await asyncio.gather(*[send() for _ in range(min(width, count - sent))])


async def enqueue(queue: str, way: str, count: int) -> dict[str, Any]:
    broker = make_broker(queue, "none")
    task = broker.register_task(noop, task_name="noop")
    await broker.startup()
    started_at = time.perf_counter()
    if way == "one":
        for _ in range(count):
            await task.kiq(PAYLOAD)
    else:
        # Taskiq has no call for many tasks; 1,000 sends at once are what comes nearest.
        await windowed(count, WIDTH if way == "flight" else BULK, lambda: task.kiq(PAYLOAD))
    ms = (time.perf_counter() - started_at) * 1000
    await broker.shutdown()
    return {"ms": ms}


async def latency(queue: str, count: int) -> dict[str, Any]:
    """From the send to the result, with a worker in another process, which is faster for it than one in this."""
    broker = make_broker(queue, "kept")
    task = broker.register_task(noop, task_name="noop")
    await broker.startup()
    samples = []
    for _ in range(min(50, count) + count):
        await asyncio.sleep(0.001)
        started_at = time.perf_counter()
        # A waiter asks again and again. By default it pauses 0.2 s in between, which would be all that is measured;
        # without a pause it keeps a core busy, and that is the fastest that it can be.
        await (await task.kiq(PAYLOAD)).wait_result(check_interval=0, timeout=10)
        samples.append((time.perf_counter() - started_at) * 1000)
    await broker.shutdown()
    measured = samples[-count:]
    return {"p50": percentile(measured, 0.5), "p99": percentile(measured, 0.99)}


async def produce(queue: str, rate: int, count: int) -> dict[str, Any]:
    broker = make_broker(queue, "none")
    task = broker.register_task(noop, task_name="noop")
    await broker.startup()
    sends: list[asyncio.Task[Any]] = []
    started_at = time.perf_counter()
    limit = count / rate * 1.5
    elapsed = 0.0
    while len(sends) < count and elapsed < limit:
        due = min(count, int(elapsed * rate))
        while len(sends) < due:
            sends.append(asyncio.create_task(task.kiq({**PAYLOAD, "t": time.time() * 1000})))
        await asyncio.sleep(0.001)
        elapsed = time.perf_counter() - started_at
    for send in sends if elapsed >= limit else []:
        send.cancel()
    done = await asyncio.gather(*sends, return_exceptions=True)
    ms = (time.perf_counter() - started_at) * 1000
    await broker.shutdown()
    return {"sent": sum(not isinstance(one, BaseException) for one in done), "ms": ms}


async def serve() -> None:
    loop = asyncio.get_running_loop()
    commands = {"enqueue": enqueue, "latency": latency, "produce": produce}
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        options = json.loads(line)
        try:
            say(await commands[options.pop("command")](**options))
        except Exception as error:
            say({"error": repr(error)})


# --- the worker


def make_worker(options: dict[str, Any]) -> RedisStreamBroker:
    warm, count, open_loop = options["warm"], options["count"], options["openLoop"]
    broker = make_broker(options["queue"], options["results"])
    handled = 0
    cpu = 0.0
    waits: list[float] = []

    @broker.on_event(TaskiqEvents.WORKER_STARTUP)
    def ready(_: Any) -> None:
        say({"ready": True})

    @broker.task(task_name="noop")
    async def noop(payload: dict[str, Any]) -> None:
        nonlocal handled, cpu
        if open_loop:
            waits.append(time.time() * 1000 - payload["t"])
        handled += 1
        if handled == warm:
            cpu = cpu_us()
        if handled == count:
            measured = waits[warm:]
            say(
                {
                    "cpuUs": (cpu_us() - cpu) / (count - warm),
                    "p50": percentile(measured, 0.5),
                    "p99": percentile(measured, 0.99),
                },
            )

    return broker


def cpu_us() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1e6


def percentile(values: list[float], share: float) -> float | None:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


if "KIQ_BENCH_WORKER" in os.environ:
    broker = make_worker(json.loads(os.environ["KIQ_BENCH_WORKER"]))
elif __name__ == "__main__":
    (uvloop or asyncio).run(serve())
