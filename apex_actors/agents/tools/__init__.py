"""What agents call: the shape of a tool, and a module for each kind of question that tools answer.

Tools have typed input and output and know storage and costs; the agents that call them are not
known here.
"""

from apex_actors.agents.tools.tool import Tool, ToolCallContext, ToolFailedError, arguments_json

__all__ = ["Tool", "ToolCallContext", "ToolFailedError", "arguments_json"]
