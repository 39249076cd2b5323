"""Sends pictures to worker.ts."""

import asyncio
import hashlib
import os
import struct
import zlib
from base64 import b64encode

from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")

broker = RedisStreamBroker(url, queue_name="typescript").with_result_backend(
    RedisAsyncResultBackend(url, serializer=JSONSerializer()),
)


@broker.task(task_name="image:describe")
async def describe_image(base64: str) -> dict[str, object]:
    raise NotImplementedError("worker.ts does this; here it has a name and types")


def grey_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


async def main() -> None:
    await broker.startup()

    image = grey_png(640, 480)
    task = await describe_image.kiq(base64=b64encode(image).decode())
    found = (await task.wait_result(timeout=60)).return_value
    print(found["width"], "x", found["height"])
    print("same digest:", found["sha256"] == hashlib.sha256(image).hexdigest())

    task = await describe_image.kiq(b64encode(b"GIF89a").decode())
    result = await task.wait_result(timeout=60)
    print(f"{type(result.error).__name__}: {result.error}")

    await broker.shutdown()


asyncio.run(main())
