"""A tool: something with typed input and output that an agent may call, within a time limit."""

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from apex_actors.execution.context import UserExecutionContext

Input_contra = TypeVar("Input_contra", bound=BaseModel, contravariant=True)
Output = TypeVar("Output")


@dataclass(frozen=True, slots=True)
class ToolCallContext:
    """For whom a tool works, and the key under which its effect happens once."""

    execution: UserExecutionContext
    idempotency_key: str
    """Run, step and call: the same again after a takeover."""


class Tool(Protocol, Generic[Input_contra, Output]):
    """Runs off the event loop: it awaits databases and hands computation to a runner or thread."""

    @property
    def name(self) -> str:
        """As it is shown to the user."""
        ...

    @property
    def is_repeatable(self) -> bool:
        """Whether a call may be made again that failed for want of a database: it changes nothing,
        or changes it under its idempotency key.
        """
        ...

    async def run(self, arguments: Input_contra, context: ToolCallContext) -> Output:
        """Do the work; whatever it raises is the call's error."""
        ...

    def summary(self, output: Output) -> str:
        """One line about the output, for people."""
        ...


class ToolFailedError(Exception):
    """A tool call ended with an error or at its time limit."""

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(f"the tool {tool} {reason}")
        self.tool = tool


def arguments_json(arguments: BaseModel) -> dict[str, Any]:
    """The arguments as the user sees them."""
    return arguments.model_dump(mode="json", exclude_none=True)
