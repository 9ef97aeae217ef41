"""Half-open ranges of time in a person's time zone."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, BaseModel, ConfigDict, model_validator

QUARTER_S = 900
"""Seconds of a quarter hour: the finest bucket the rollups keep, since every time zone in use today
is a whole number of quarters from UTC."""


def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name, such as `Europe/Berlin`.

    Raises:
        ValueError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("time_zone: not a known IANA time zone such as Europe/Berlin") from error


class TimeRange(BaseModel):
    """From `start` (inclusive) to `end` (exclusive), both aware and on a quarter hour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: AwareDatetime
    end: AwareDatetime
    time_zone: str = "UTC"

    @model_validator(mode="after")
    def _check(self) -> Self:
        zone(self.time_zone)
        if self.end <= self.start:
            raise ValueError("A time range must end after it starts.")
        for name, moment in (("start", self.start), ("end", self.end)):
            utc = moment.astimezone(UTC)
            if utc.microsecond or (utc.minute * 60 + utc.second) % QUARTER_S:
                raise ValueError(
                    f"{name}: must fall on a quarter hour, because answers come from quarter hours"
                )
        return self

    @classmethod
    def days(cls, first: date, last: date, time_zone: str = "UTC") -> Self:
        """The whole local days from `first` to `last`, both included."""
        return cls(
            start=_midnight(first, time_zone),
            end=_midnight(last + timedelta(days=1), time_zone),
            time_zone=time_zone,
        )

    @classmethod
    def last_days(cls, count: int, now: datetime, time_zone: str = "UTC") -> Self:
        """The last `count` local days; today, up to its end, is the last of them."""
        if count < 1:
            raise ValueError("count: must be at least 1 day")
        today = now.astimezone(zone(time_zone)).date()
        return cls.days(today - timedelta(days=count - 1), today, time_zone)

    @classmethod
    def covering(cls, first: datetime, last: datetime, time_zone: str = "UTC") -> Self:
        """The whole local days that hold both moments: "all data" for a first and last record."""
        tz = zone(time_zone)
        return cls.days(first.astimezone(tz).date(), last.astimezone(tz).date(), time_zone)

    @property
    def first_day(self) -> date:
        """The local day in which the range starts."""
        return self.start.astimezone(zone(self.time_zone)).date()

    @property
    def last_day(self) -> date:
        """The local day that holds the last moment of the range."""
        last_moment = self.end.astimezone(UTC) - timedelta(microseconds=1)
        return last_moment.astimezone(zone(self.time_zone)).date()

    @property
    def day_count(self) -> int:
        """How many local days the range touches."""
        return (self.last_day - self.first_day).days + 1

    @property
    def whole_utc_days(self) -> tuple[date, date] | None:
        """The first and the last day in UTC that lie wholly in the range; None: there is none."""
        start, end = self.start.astimezone(UTC), self.end.astimezone(UTC)
        first = (start + timedelta(days=1) - timedelta(microseconds=1)).date()
        last = end.date() - timedelta(days=1)
        return (first, last) if first <= last else None

    @property
    def is_whole_utc_days(self) -> bool:
        """Whether the range is made of whole days in UTC."""
        midnight = time(tzinfo=UTC)
        return all(moment.astimezone(UTC).timetz() == midnight for moment in (self.start, self.end))

    def local_date(self, moment: datetime) -> date:
        """The day of the moment, as a person in the range's time zone names it."""
        return moment.astimezone(zone(self.time_zone)).date()

    def __str__(self) -> str:
        if self.first_day == self.last_day:
            return f"{self.first_day} ({self.time_zone})"
        return f"{self.first_day} to {self.last_day} ({self.time_zone})"


def _midnight(day: date, time_zone: str) -> datetime:
    # In UTC and back: where the clock skips midnight, this gives the first moment of that day.
    local = datetime.combine(day, time.min, zone(time_zone))
    return local.astimezone(UTC).astimezone(zone(time_zone))
