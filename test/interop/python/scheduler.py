"""Python's scheduler for the tests: `taskiq scheduler scheduler:scheduler`. As a program it adds schedules to the source."""

import asyncio
import datetime
import json
import os
import sys

from brokers import make_broker
from taskiq import TaskiqScheduler
from taskiq.kicker import AsyncKicker
from taskiq.serializers import JSONSerializer
from taskiq_redis import ListRedisScheduleSource

settings = json.loads(os.environ["SETTINGS"])
broker = make_broker(settings)
source = ListRedisScheduleSource(
    settings["url"],
    prefix=settings["queue"],
    serializer=JSONSerializer() if settings["schedules"] == "json" else None,
)
scheduler = TaskiqScheduler(broker, [source])


async def add(name: str) -> None:
    await source.startup()
    kicker = AsyncKicker(task_name="both:note", broker=broker, labels={"own": 1})
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
    await kicker.with_schedule_id(f"{name}-time").schedule_by_time(source, soon, f"{name} time")
    await kicker.with_schedule_id(f"{name}-cron").schedule_by_cron(source, "* * * * *", f"{name} cron")
    if settings["intervals"]:
        await kicker.with_schedule_id(f"{name}-interval").schedule_by_interval(source, 1, f"{name} interval")
    await source.shutdown()


if __name__ == "__main__":
    asyncio.run(add(sys.argv[1]))
