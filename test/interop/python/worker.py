"""Tasks for the tests. The environment variable SETTINGS says which broker."""

import asyncio
import json
import os
import time
from typing import Any

import values
from brokers import make_broker
from redis.asyncio import Redis
from taskiq import Context, TaskiqDepends
from taskiq.depends.progress_tracker import ProgressTracker

settings = json.loads(os.environ["SETTINGS"])
broker = make_broker(settings)
redis = Redis.from_url(settings["url"])


@broker.task(task_name="py:show")
async def show(*args: Any, **kwargs: Any) -> str:
    return repr((args, kwargs))


@broker.task(task_name="py:echo")
async def echo(value: Any) -> Any:
    return value


@broker.task(task_name="py:make")
async def make(expression: str) -> Any:
    return eval(expression, vars(values))


@broker.task(task_name="py:run")
async def run(code: str) -> None:
    exec(code, dict(vars(values)))


@broker.task(task_name="py:labels")
async def labels(context: Context = TaskiqDepends()) -> str:
    return repr(context.message.labels)


@broker.task(task_name="py:sleep")
async def sleep(seconds: float, context: Context = TaskiqDepends()) -> str:
    await note(context)
    await asyncio.sleep(seconds)
    return "slept"


@broker.task(task_name="both:time")
async def time_ms(context: Context = TaskiqDepends()) -> float:
    await note(context)
    return time.time() * 1000


@broker.task(task_name="py:progress")
async def progress(steps: str, tracker: ProgressTracker[Any] = TaskiqDepends()) -> str:
    for state, meta in eval(steps):
        await tracker.set_progress(state, meta)
    last = await tracker.get_progress()
    return repr(last and (last.state, last.meta))


@broker.task(task_name="both:work")
async def work(ms: float, context: Context = TaskiqDepends()) -> str:
    await note(context)
    await asyncio.sleep(ms / 1000)
    return "python"


@broker.task(task_name="both:fail")
async def fail(context: Context = TaskiqDepends()) -> None:
    await note(context)
    await asyncio.sleep(0.005)
    raise ValueError("python", context.message.labels.get("_retries"))


@broker.task(task_name="both:twice")
async def twice(context: Context = TaskiqDepends()) -> str:
    if await note(context) < 2:
        raise ValueError("not yet")
    return "python"


@broker.task(task_name="both:requeue")
async def requeue(context: Context = TaskiqDepends()) -> None:
    await note(context)
    await context.requeue()


async def note(context: Context) -> int:
    return await redis.rpush("runs:" + context.message.task_id, "python")
