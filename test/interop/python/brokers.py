from taskiq import AsyncBroker, SimpleRetryMiddleware
from taskiq.serializers import CBORSerializer, JSONSerializer, MSGPackSerializer
from taskiq_redis import ListQueueBroker, PubSubBroker, RedisAsyncResultBackend, RedisStreamBroker

BROKERS = {"stream": RedisStreamBroker, "list": ListQueueBroker, "pubsub": PubSubBroker}
SERIALIZERS = {"json": JSONSerializer, "msgpack": MSGPackSerializer, "cbor": CBORSerializer}


def make_broker(settings: dict) -> AsyncBroker:
    url = settings["url"]
    results = None if settings["results"] == "default" else SERIALIZERS[settings["results"]]()
    broker = BROKERS[settings["kind"]](url, queue_name=settings["queue"], **settings["options"])
    if settings["messages"] != "default":
        broker = broker.with_serializer(SERIALIZERS[settings["messages"]]())
    if settings["retries"]:
        broker = broker.with_middlewares(SimpleRetryMiddleware())
    return broker.with_result_backend(RedisAsyncResultBackend(url, serializer=results, **settings["backend"]))
