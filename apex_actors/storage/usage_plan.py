"""The savings plan of stored usage: reading and planning as one piece of work for a process."""

from apex_actors.costs.levers import DEFAULT_SETTINGS, LeverSettings, SavingsPlan, build_plan
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage.usage_reader import UsageReader


def plan_stored(
    reader: UsageReader,
    tenant: str,
    time_range: TimeRange,
    catalogue: PriceCatalogue,
    settings: LeverSettings = DEFAULT_SETTINGS,
) -> SavingsPlan:
    """Re-prices every single request of the tenant's range through the levers.

    Blocks for seconds where there are many. Raises StorageUnavailableError.
    """
    return build_plan(
        reader.requests(tenant, time_range, warm_up_s=settings.warm_up_s),
        catalogue=catalogue,
        time_range=time_range,
        settings=settings,
    )
