"""A line of its input is a job: it sends the calls, and prints a line with what the client sees of each."""

import asyncio
import json
import sys
from typing import Any

import values
from brokers import make_broker
from taskiq import AsyncTaskiqTask
from taskiq.kicker import AsyncKicker


def arguments(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def described(error: BaseException | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "args": repr(error.args),
        "cause": described(error.__cause__),
        "context": described(error.__context__),
        "suppress": error.__suppress_context__,
    }


async def outcome(task: AsyncTaskiqTask[Any], timeout: float) -> dict[str, Any]:
    facts: dict[str, Any] = {"taskId": task.task_id}
    try:
        result = await task.wait_result(timeout=timeout, check_interval=0.01)
        progress = await task.get_progress()
    except Exception as error:
        return {**facts, "failed": f"{type(error).__name__}: {error} / {error.__cause__!r}"}
    return {
        **facts,
        "isErr": result.is_err,
        "value": repr(result.return_value),
        "labels": repr(result.labels),
        "error": described(result.error),
        "progress": repr(progress and (str(getattr(progress.state, "value", progress.state)), progress.meta)),
    }


async def work(job: dict[str, Any]) -> dict[str, Any]:
    broker = make_broker(job["settings"])
    await broker.startup()
    tasks = [AsyncTaskiqTask(task_id, broker.result_backend) for task_id in job["results"]]
    for call in job["calls"]:
        args, kwargs = eval("arguments" + call["call"], {**vars(values), "arguments": arguments})
        labels = eval(call["labels"], dict(vars(values)))
        tasks.append(await AsyncKicker(call["task"], broker, labels).kiq(*args, **kwargs))
    outcomes = [await outcome(task, job["timeout"]) for task in tasks] if job["waits"] else []
    await broker.shutdown()
    return {"sent": [task.task_id for task in tasks], "outcomes": outcomes}


async def answer(job: dict[str, Any]) -> None:
    try:
        reply = await work(job)
    except Exception as error:
        reply = {"error": repr(error)}
    print(json.dumps({**reply, "id": job["id"]}), flush=True)


async def main() -> None:
    answers = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        answers.add(asyncio.create_task(answer(json.loads(line))))


asyncio.run(main())
