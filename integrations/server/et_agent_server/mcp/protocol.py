"""The server that speaks the protocol: lists the tools, calls them, and tells errors."""

import asyncio
import json
import logging
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp_types import Tool as ListedTool
from pydantic import ValidationError

from et_agent_server.errors import ApiError, of_validation, unforeseen
from et_agent_server.mcp.progress import telling
from et_agent_server.mcp.tools import TOOLS, Tool
from et_agent_server.state import ServerState
from et_agent_server.telemetry import Seen, tell
from et_agent_server.wire import Wire

__all__ = ["mcp_server"]

_log = logging.getLogger("et_agent.server")
_Context = ServerRequestContext[Any]


def mcp_server(shared: ServerState) -> Server[Any]:
    """A server of the Model Context Protocol with the tools, for any transport.

    Args:
        shared: Models, settings and places; other interfaces may share them.
    """

    async def listed(_: _Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_listed(tool) for tool in TOOLS.values()])

    async def called(context: _Context, params: CallToolRequestParams) -> CallToolResult:
        return await _called(shared, context, params)

    return Server(
        "et-agent",
        version=_version(),
        title="et-agent",
        instructions=_instructions(shared),
        on_list_tools=listed,
        on_call_tool=called,
    )


def _instructions(shared: ServerState) -> str:
    names = ", ".join(one.name for one in shared.models.all())
    return (
        "Asks a language model on this computer, and says how sure it is. Confidences are calibrated "
        f"probabilities of being right. Models: {names}. At most {shared.settings.most_leaves} leaves; "
        f"{shared.settings.leaves} where a call does not say."
    )


def _listed(tool: Tool) -> ListedTool:
    return ListedTool(
        name=tool.name,
        title=tool.title,
        description=tool.says,
        input_schema=tool.arguments.model_json_schema(),
        output_schema=tool.output.model_json_schema(mode="serialization"),
        annotations=ToolAnnotations(
            read_only_hint=tool.reads_only,
            destructive_hint=False,
            idempotent_hint=not tool.reads_only,
            open_world_hint=False,
        ),
    )


async def _called(
    shared: ServerState, context: _Context, params: CallToolRequestParams
) -> CallToolResult:
    """A call, counted and logged, whatever becomes of it."""
    seen = Seen(route=f"mcp {params.name}" if params.name in TOOLS else "mcp")
    try:
        output = await _output(shared, context, params, seen)
        seen.status = 200
    except asyncio.CancelledError:
        seen.left()
        seen.status = 499
        raise
    except ApiError as error:
        seen.status = error.status
        return _failed(error.message)
    except Exception:
        _log.exception("the tool %s failed", seen.route)
        seen.status = 500
        return _failed(unforeseen().message)
    finally:
        shared.metrics.count(seen)
        tell(seen, texts=shared.settings.log_texts)
    data = output.model_dump(mode="json")
    text = TextContent(type="text", text=json.dumps(data, ensure_ascii=False))
    return CallToolResult(content=[text], structured_content=data)


async def _output(
    shared: ServerState, context: _Context, params: CallToolRequestParams, seen: Seen
) -> Wire:
    tool = TOOLS.get(params.name)
    if tool is None:
        raise ApiError(
            404, f"there is no tool {params.name[:100]!r}: use one of {', '.join(TOOLS)}"
        )
    try:
        given = tool.arguments.model_validate(params.arguments or {})
    except ValidationError as error:
        raise of_validation(error) from None
    async with telling(context.session.report_progress) as on_progress:
        return await tool.work(given, shared, seen, on_progress)


def _failed(message: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=message)], is_error=True)


def _version() -> str:
    try:
        return version("et-agent-server")
    except PackageNotFoundError:
        return ""  # run from a source folder
