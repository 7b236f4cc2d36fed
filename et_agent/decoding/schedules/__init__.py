"""When an entropy tree forks: a settings class and a run for each schedule."""

from et_agent.decoding.schedules.base import EntropyTree
from et_agent.decoding.schedules.breadth_first import BreadthFirst
from et_agent.decoding.schedules.online import Online
from et_agent.decoding.schedules.overlapped import Overlapped
from et_agent.decoding.schedules.rounds import Rounds
from et_agent.decoding.schedules.stratified import Stratified

__all__ = ["BreadthFirst", "EntropyTree", "Online", "Overlapped", "Rounds", "Stratified"]

# Now that they are all known, plain data become one of them.
EntropyTree.model_rebuild(force=True)
