"""Who is told about an alert: the channels of its city, or those of `*` when no city of the settings has that slug."""

from __future__ import annotations

from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.settings import City, FanoutSettings

ANY_OTHER_CITY = "*"


def city_of(alert: Alert, settings: FanoutSettings) -> City:
    """The city whose people are told about this alert."""
    return settings.cities.get(alert.city_id) or settings.cities[ANY_OTHER_CITY]
