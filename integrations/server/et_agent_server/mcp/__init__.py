"""The Model Context Protocol: agents of other makers ask how sure a local model is.

Needs the extra `mcp`. `serve_stdio` is one client over standard input and output; `mounted` adds the
path `/mcp` to an application. https://modelcontextprotocol.io
"""

from et_agent_server.mcp.protocol import mcp_server
from et_agent_server.mcp.transports import mounted, protocol_output, serve_stdio

__all__ = ["mcp_server", "mounted", "protocol_output", "serve_stdio"]
