"""Action groups: the people behind an alert. E-mail and text messages are Azure Monitor's to deliver (opt-out, limits, audit)."""

from __future__ import annotations

from pulumi import Resource, ResourceOptions
from pulumi_azure_native import monitor

from infra.azure.resource_group import ResourceGroup
from infra.settings.contacts import Audience, country_and_number
from infra.settings.stack import City


def operations_group(emails: tuple[str, ...], group: ResourceGroup, parent: Resource) -> monitor.ActionGroup:
    """The people who keep the pipeline running."""
    return _group("ag-ops", "", "rp-ops", group, parent, email=emails)


def audience_group(city: City, audience: Audience, group: ResourceGroup, parent: Resource) -> monitor.ActionGroup:
    """The people of a city who are notified together."""
    addresses = audience.addresses
    email, sms = (addresses, ()) if audience.kind == "email" else ((), addresses)
    return _group(f"ag-{audience.name}", city.slug, short_name(city.slug), group, parent, email=email, sms=sms)


def short_name(slug: str) -> str:
    """What a text message starts with; Azure takes 12 characters."""
    return slug[:12].rstrip("-")


def _group(
    kind: str,
    city: str,
    short: str,
    group: ResourceGroup,
    parent: Resource,
    *,
    email: tuple[str, ...] = (),
    sms: tuple[str, ...] = (),
) -> monitor.ActionGroup:
    numbers = [country_and_number(number) for number in sms]
    return monitor.ActionGroup(
        f"{kind}-{city}" if city else kind,
        action_group_name=group.names.plain(kind, city),
        group_short_name=short,
        enabled=True,
        email_receivers=[
            {"name": f"email-{number}", "email_address": address, "use_common_alert_schema": True}
            for number, address in enumerate(email, 1)
        ],
        sms_receivers=[
            {"name": f"sms-{index}", "country_code": country, "phone_number": number}
            for index, (country, number) in enumerate(numbers, 1)
        ],
        **group.global_,
        opts=ResourceOptions(parent=parent),
    )
