"""WebSocket conversations that outlive their connections, on asyncio and trio."""

from .client import connect
from .connection import Connection
from .errors import *
