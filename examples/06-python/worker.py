"""Executes what producer.ts sends."""

import os
import re
import statistics
from collections import Counter

from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")

# Without a serializer, results would be pickles. Kiq reads these, too, but Python would not read Kiq's JSON.
broker = RedisStreamBroker(url, queue_name="python").with_result_backend(
    RedisAsyncResultBackend(url, serializer=JSONSerializer(), result_ex_time=86_400),
)


@broker.task(task_name="text:statistics")
async def text_statistics(text: str, top: int = 2) -> dict[str, object]:
    words = re.findall(r"\w+", text.lower())
    if not words:
        raise ValueError("there are no words")
    return {
        "words": len(words),
        "medianLength": statistics.median(len(word) for word in words),
        "mostCommon": Counter(words).most_common(top),
    }
