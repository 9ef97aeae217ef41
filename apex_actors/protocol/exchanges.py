"""Which reply answers which message, and what comes unasked: the shape of the conversation."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from apex_actors.protocol.messages import (
    Ack,
    CancelRun,
    ClientMessage,
    DeleteThread,
    GetPreferences,
    GetRun,
    GetThreadHistory,
    Heartbeat,
    ListThreads,
    Ping,
    Pong,
    RefreshToken,
    RenameThread,
    RetryRun,
    SetPreferences,
    StartAgent,
    StopAgent,
    SwitchThread,
    UserMessage,
)
from apex_actors.protocol.notices import (
    ConnectionReady,
    ErrorNotice,
    HeartbeatAck,
    MessageAccepted,
    Notice,
    Ok,
    PingNotice,
    PongReply,
    Preferences,
    Reply,
    Resumed,
    RunCancelling,
    RunReply,
    RunStatusReply,
    ServerShutdown,
    ServiceDegraded,
    ServiceRecovered,
    ThreadData,
    ThreadHistory,
    Threads,
    TokenExpiring,
    TokenRefreshed,
)

DIRECT_REPLIES: Final[Mapping[type[ClientMessage], tuple[type[Reply], ...]]] = MappingProxyType(
    {
        UserMessage: (MessageAccepted,),
        StartAgent: (MessageAccepted,),
        RetryRun: (MessageAccepted,),
        CancelRun: (RunCancelling, RunStatusReply),
        StopAgent: (RunCancelling, RunStatusReply),
        GetRun: (RunReply,),
        ListThreads: (Threads,),
        GetThreadHistory: (ThreadHistory,),
        SwitchThread: (ThreadData,),
        RenameThread: (Ok,),
        DeleteThread: (Ok,),
        GetPreferences: (Preferences,),
        SetPreferences: (Preferences,),
        RefreshToken: (TokenRefreshed,),
        Ping: (PongReply,),
        Heartbeat: (HeartbeatAck,),
        Pong: (),
        Ack: (),
    }
)
"""Message → the replies one of which it gets where it is served; else it gets an `error`."""

NOTICES: Final[tuple[type[Notice], ...]] = (
    ConnectionReady,
    PingNotice,
    TokenExpiring,
    ServerShutdown,
    ServiceDegraded,
    ServiceRecovered,
    Resumed,
)
"""What the server says unasked, beside the events; the first one opens every connection."""

REPLIES: Final[tuple[type[Reply], ...]] = (
    *dict.fromkeys(reply for replies in DIRECT_REPLIES.values() for reply in replies),
    ErrorNotice,
)
"""All direct replies; the last one answers whatever is not served."""


def type_of(model: type[ClientMessage] | type[Notice]) -> str:
    """The `type` that frames of this model carry."""
    name: str = model.model_fields["type"].default
    return name
