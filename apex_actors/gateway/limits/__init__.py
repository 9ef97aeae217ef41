"""How much users and addresses may ask for: token buckets, caps, and what processes share of them.

Asked by the handshake and by connections, which it tells when they are too many. Must not know
what a message says, nor how a refusal is put to a client.
"""

from apex_actors.gateway.limits.bucket import NEVER_MS, Quota, TokenBucket
from apex_actors.gateway.limits.limits import Limits, TooManyConnectionsError
from apex_actors.gateway.limits.statistics import LimitStatistics, Mode
from apex_actors.gateway.limits.sync import REGISTRATION_LIFE_S, LimitsSync
from apex_actors.gateway.limits.user import UserLimits

__all__ = [
    "NEVER_MS",
    "REGISTRATION_LIFE_S",
    "LimitStatistics",
    "Limits",
    "LimitsSync",
    "Mode",
    "Quota",
    "TokenBucket",
    "TooManyConnectionsError",
    "UserLimits",
]
