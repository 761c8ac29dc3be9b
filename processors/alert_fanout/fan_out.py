"""Takes alerts, tells every channel of their cities once, and remembers what is still to be told."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from processors.alert_fanout.alerts import Alert, Rejected, alerts_in
from processors.alert_fanout.channels import Channel, DeliveryError, channel_of
from processors.alert_fanout.deliveries import Deliveries, Delivery
from processors.alert_fanout.render import Message, rendered
from processors.alert_fanout.routing import city_of
from processors.alert_fanout.settings import ChannelSettings, FanoutSettings
from processors.clock import utc_now
from processors.timestamps import parse_time

REPEATS = 5
"""Invocations that fail for a delivery. After those it is tried along with later alerts, so that it can't hold them up."""
LONGEST_PENDING = timedelta(hours=24)
"""News older than this helps nobody any more."""

log = logging.getLogger("roompulse.fanout")
figures_log = logging.getLogger("roompulse.figures")


class DeliveriesPending(Exception):
    """Some channels did not take their alerts, the others did. Repeating the same events is safe, and tries only the former."""


class FanOut:
    """Delivers alerts. Not for use by several threads at once."""

    def __init__(self, settings: FanoutSettings, deliveries: Deliveries) -> None:
        self._settings = settings
        self._deliveries = deliveries
        self._channels = _channels(settings)
        self._delivered = 0

    @classmethod
    def open(cls, settings: FanoutSettings, state_folder: Path) -> FanOut:
        """A fan-out that keeps its state in `state_folder`; raises DeliveriesError."""
        return cls(settings, Deliveries(state_folder / "fanout.sqlite"))

    def close(self) -> None:
        """Close connections and state."""
        for channel, _ in self._channels.values():
            channel.close()
        self._deliveries.close()

    def handle(self, bodies: Iterable[bytes]) -> None:
        """Deliver the alerts in these event bodies, and whatever is still pending from before.

        Raises DeliveriesPending when a channel failed and the events should be given again, DeliveriesError when nothing could be
        remembered (nothing was told then).
        """
        self._expect([entry for body in bodies for entry in alerts_in(body)])
        failed = self._deliver_pending()
        pending = self._deliveries.pending()
        rejected = self._deliveries.rejected_count()
        figures = {"deliveries": self._delivered, "deliveries_pending": len(pending), "alerts_rejected": rejected}
        figures_log.info("figures", extra={"figures": figures})
        if any(delivery.attempts < REPEATS for delivery in pending):
            raise DeliveriesPending(f"{len(pending)} deliveries are pending: {'; '.join(failed)}. They are tried again.")

    def _expect(self, entries: list[Alert | Rejected]) -> None:
        rejected = [entry for entry in entries if isinstance(entry, Rejected)]
        for bad in rejected:
            log.warning("a line is no alert", extra={"ids": {"reason": bad.reason, "record": bad.record[:200]}})
        # Events of two partitions can overtake each other: a beginning is told before its end.
        alerts = sorted((entry for entry in entries if isinstance(entry, Alert)), key=lambda alert: alert.state != "fired")
        messages = [(self._message(alert), self._keys(alert)) for alert in alerts]
        self._deliveries.expect(messages, rejected, utc_now())

    def _message(self, alert: Alert) -> Message:
        late = alert.state == "fired" and self._deliveries.knows(alert.alert_id, "resolved")
        return rendered(alert, self._settings, already_resolved=late)

    def _keys(self, alert: Alert) -> list[str]:
        wanted = [wanted for wanted in city_of(alert, self._settings).channels if alert.severity in wanted.severities]
        return [key for key, (_, settings) in self._channels.items() if settings in wanted]

    def _deliver_pending(self) -> list[str]:
        """Try everything pending, the quick inboxes first; gives what went wrong, once per channel."""
        failed: dict[str, str] = {}
        pending = self._deliveries.pending()
        for delivery in sorted(pending, key=lambda delivery: not delivery.channel.startswith("inbox:")):
            if delivery.channel not in self._channels or self._too_old(delivery):
                log.error("an alert is given up", extra={"ids": _ids(delivery)})
                self._deliveries.give_up(delivery)
            elif delivery.channel in failed:
                self._deliveries.failed(delivery)  # a dead address is not waited for again and again
            else:
                self._try(delivery, failed)
        return list(failed.values())

    def _try(self, delivery: Delivery, failed: dict[str, str]) -> None:
        channel, _ = self._channels[delivery.channel]
        try:
            channel.deliver(delivery.message)
        except DeliveryError as fault:
            log.error("a channel failed", extra={"ids": {**_ids(delivery), "fault": str(fault)}})
            failed[delivery.channel] = str(fault)
            self._deliveries.failed(delivery)
        else:
            self._deliveries.delivered(delivery)
            self._delivered += 1
            log.info("delivered", extra={"ids": _ids(delivery)})

    def _too_old(self, delivery: Delivery) -> bool:
        seen_at = parse_time(delivery.seen_at)
        return seen_at is not None and utc_now() - seen_at > LONGEST_PENDING


def _channels(settings: FanoutSettings) -> dict[str, tuple[Channel, ChannelSettings]]:
    """Every channel of the settings once, by its key."""
    distinct = {channel for city in settings.cities.values() for channel in city.channels}
    made = [(channel_of(channel), channel) for channel in distinct]
    return {channel.key: (channel, channel_settings) for channel, channel_settings in made}


def _ids(delivery: Delivery) -> dict[str, str]:
    alert = delivery.message.alert
    return {"alertId": alert.alert_id, "state": alert.state, "channel": delivery.channel}
