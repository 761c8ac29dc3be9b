"""Action groups: the people behind an alert. E-mail and text messages are Azure Monitor's to deliver (opt-out, limits, audit)."""

from __future__ import annotations

import re

from pulumi import Resource, ResourceOptions
from pulumi_azure_native import monitor

from infra.azure.resource_group import ResourceGroup
from infra.settings.contacts import Audience
from infra.settings.stack import City

_ONE_DIGIT = "17"
_TWO_DIGITS = re.compile(r"2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]")
"""ITU country codes of two digits; all that start otherwise have three."""


def operations_group(emails: tuple[str, ...], group: ResourceGroup, parent: Resource) -> monitor.ActionGroup:
    """The people who keep the pipeline running."""
    return _group("ag-ops", "", "rp-ops", group, parent, email=emails)


def audience_group(city: City, audience: Audience, group: ResourceGroup, parent: Resource) -> monitor.ActionGroup:
    """The people of a city who are told together."""
    addresses = audience.addresses
    email, sms = (addresses, ()) if audience.kind == "email" else ((), addresses)
    return _group(f"ag-{audience.name}", city.slug, short_name(city.slug), group, parent, email=email, sms=sms)


def short_name(slug: str) -> str:
    """What a text message starts with; Azure takes 12 characters."""
    return slug[:12].rstrip("-")


def country_and_number(e164: str) -> tuple[str, str]:
    """`+33155550101` as Azure wants it: ("33", "155550101")."""
    digits = e164.removeprefix("+")
    length = 1 if digits[0] in _ONE_DIGIT else 2 if _TWO_DIGITS.match(digits) else 3
    return digits[:length], digits[length:]


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
        f"{kind}-{city}".rstrip("-"),
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
