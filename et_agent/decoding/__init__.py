"""How text is generated: decoders as pure state machines, and the scheduler that runs them."""

from et_agent.decoding.base import Decoder, DecoderSettings, Run, RunInputs
from et_agent.decoding.direct import Direct
from et_agent.decoding.greedy import Greedy
from et_agent.decoding.multi_chain import MultiChain
from et_agent.decoding.request import Request
from et_agent.decoding.scheduler import Scheduler, scheduler_of
from et_agent.decoding.schedules import EntropyTree
from et_agent.decoding.thresholds import Thresholds
from et_agent.decoding.tree import Branch, Finish, Fork, ForkKind, Tree
from et_agent.renaming import old_names

__all__ = [
    "Branch",
    "Decoder",
    "DecoderSettings",
    "Direct",
    "EntropyTree",
    "Finish",
    "Fork",
    "ForkKind",
    "Greedy",
    "MultiChain",
    "Request",
    "Run",
    "RunInputs",
    "Scheduler",
    "Thresholds",
    "Tree",
    "scheduler_of",
]

__getattr__ = old_names(__name__, {"RunRequest": "RunInputs", "Ticket": "Request"})
