"""Names for the expressions of the tests."""

import enum
import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pydantic
from taskiq.exceptions import TaskRejectedError

__all__ = [
    "Color",
    "Decimal",
    "Model",
    "MyError",
    "Outer",
    "Point",
    "TaskRejectedError",
    "UUID",
    "date",
    "datetime",
    "timedelta",
    "timezone",
    "uuid",
]


class MyError(Exception):
    pass


class Outer:
    class Inner(Exception):
        pass


class Color(enum.Enum):
    RED = "red"


class Model(pydantic.BaseModel):
    a: int
    b: datetime


@dataclass
class Point:
    x: int
    y: float
