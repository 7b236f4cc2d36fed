"""et-agent behind OpenAI's interface.

from et_agent import load_model
from et_agent_server import create_app

app = create_app({"qwen2.5-coder-0.5b": load_model("qwen2.5-coder-0.5b")})
"""

from et_agent_server.app import create_app
from et_agent_server.settings import ServerSettings

__all__ = ["ServerSettings", "create_app"]
