"""The quotas of a process: the whole of what the settings allow, or its share of it."""

from typing import Final

from apex_actors.gateway.limits.bucket import Quota
from apex_actors.gateway.settings import LimitSettings

#: No share of a burst of messages or handshakes is less than one of them.
LEAST_BURST: Final = 1.0


class Quotas:
    """What all buckets of a process are filled by.

    Raises ValueError where the largest message would be more than a burst of bytes.
    """

    def __init__(self, settings: LimitSettings, *, largest_message_bytes: int) -> None:
        if settings.bytes_burst < largest_message_bytes:
            raise ValueError(
                f"bytes_burst ({settings.bytes_burst}) must be at least max_message_bytes "
                f"({largest_message_bytes}), or the largest messages never pass"
            )
        self._settings = settings
        self._least_bytes_burst = float(largest_message_bytes)
        self.whole_messages = Quota(settings.messages_per_s, settings.messages_burst)
        self.whole_bytes = Quota(settings.bytes_per_s, settings.bytes_burst)
        self.whole_handshakes = Quota(settings.handshakes_per_s, settings.handshakes_burst)
        self.messages = Quota(settings.messages_per_s, settings.messages_burst)
        self.bytes = Quota(settings.bytes_per_s, settings.bytes_burst)
        self.handshakes = Quota(settings.handshakes_per_s, settings.handshakes_burst)
        self.connections_per_user = settings.connections_per_user

    def share(self, processes: int) -> None:
        """Give one of ``processes`` its share; one process has the whole.

        Rates are divided exactly. Bursts and the cap on connections are, down to one message, the
        largest message and one connection: a share that lets nothing through would be an outage.
        """
        if processes < 1:
            raise ValueError("there is at least this process")
        for quota, whole, least in (
            (self.messages, self.whole_messages, LEAST_BURST),
            (self.bytes, self.whole_bytes, self._least_bytes_burst),
            (self.handshakes, self.whole_handshakes, LEAST_BURST),
        ):
            quota.change(whole.rate_per_s / processes, max(whole.burst / processes, least))
        self.connections_per_user = max(self._settings.connections_per_user // processes, 1)
