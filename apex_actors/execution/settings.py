"""Limits of the execution of runs."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ExecutionSettings(BaseModel):
    """Every limit in seconds or counts; the defaults suit a small node."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs_per_user: int = Field(default=3, ge=1)
    """Runs of one user at the same time, each in its own thread; more wait."""
    runs_per_worker: int = Field(default=128, ge=1)
    """Runs that one worker process holds at the same time."""
    waiting_per_user: int = Field(default=50, ge=1)
    """Runs of one user that may wait before new ones are refused with queue_full."""
    accepting_per_node: int = Field(default=200, ge=1)
    """Messages that one process makes durable at the same time; more are refused with queue_full."""
    unfinished_in_all: int = Field(default=20_000, ge=1)
    """Runs that wait or are at work, of all users; more are refused with queue_full."""
    lease_s: int = Field(default=10, ge=2)
    """How long a silent worker keeps its runs before another takes them over."""
    poll_interval_s: float = Field(default=0.5, gt=0)
    """How often a worker asks for work that it was not woken for."""
    run_limit_s: float = Field(default=300.0, gt=0)
    """A run ends as timed out after this time, counted from its first start."""
    tool_limit_s: float = Field(default=60.0, gt=0)
    """A tool call is cancelled after this time."""
    work_processes: int = Field(default=2, ge=1)
    """Processes that plan savings beside the server, each started when there is something to do;
    each has a connection to PostgreSQL of its own while it works."""
    sweep_interval_s: float = Field(default=5.0, gt=0)
    """How often is looked for waiting runs that nobody has started though they may start."""
    max_attempts: int = Field(default=5, ge=1)
    """Workers that may try a run before it fails; those that stopped in order and gave it back do
    not count."""
    making_retries: int = Field(default=3, ge=0, le=10)
    """How often an engine or a supervisor that cannot be made is tried again before its run fails."""
    making_pause_s: float = Field(default=0.5, gt=0)
    """Pause before the first of these retries; doubled before each further one."""

    @model_validator(mode="after")
    def _ordered(self) -> "ExecutionSettings":
        if self.tool_limit_s > self.run_limit_s:
            raise ValueError("tool_limit_s must not exceed run_limit_s")
        if self.poll_interval_s >= self.lease_s:
            raise ValueError("poll_interval_s must be shorter than lease_s")
        return self
