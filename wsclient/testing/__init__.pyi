"""The names of ``__init__.py`` as type checkers see them."""

from .clock import VIRTUAL_BACKENDS as VIRTUAL_BACKENDS
from .clock import Deadlock as Deadlock
from .clock import suspend as suspend
from .clock import virtual_backend as virtual_backend
from .contract import WIRE_CHECKS as WIRE_CHECKS
from .contract import check_wire as check_wire
from .link import Link as Link
from .network import Dialled as Dialled
from .network import Host as Host
from .network import Network as Network
from .peer import Peer as Peer
from .pipe import Pipe as Pipe
from .proxy import Proxy as Proxy
from .proxy_link import ProxyLink as ProxyLink
from .proxy_link import ProxyPipe as ProxyPipe
from .recorder import recorded as recorded
from .recording import RecordedConnection as RecordedConnection
from .recording import Recording as Recording
from .recording import ReplayMismatch as ReplayMismatch
from .script import ScriptedServer as ScriptedServer
from .script import accepts as accepts
from .script import answers_no_pings as answers_no_pings
from .script import closes as closes
from .script import drips as drips
from .script import garbage as garbage
from .script import hangs_up as hangs_up
from .script import rejects as rejects
from .script import resets as resets
from .script import sends as sends
from .script import silent as silent
from .tap import Tap as Tap
from .tap import lend as lend
from .troubles import TROUBLES as TROUBLES
from .troubles import trouble as trouble
from .wires import SimulatedWire as SimulatedWire
from .wires import wire_pair as wire_pair

__all__: tuple[str, ...]
