"""How one application protocol encodes, says hello, subscribes and routes."""

from .base import Base
from .json_topics import JsonTopics
from .plain import Plain

__all__ = ("Base", "JsonTopics", "Plain")
