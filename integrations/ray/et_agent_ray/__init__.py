"""et-agent on many machines: questions spread over a Ray cluster, each kept once.

from et_agent_ray import EntropyTreePredictor, Hosting, RayEngine
"""

from et_agent_ray.engine import RayEngine
from et_agent_ray.hosting import Hosting
from et_agent_ray.predictor import EntropyTreePredictor, predict

__all__ = ["EntropyTreePredictor", "Hosting", "RayEngine", "predict"]
