"""Does the declared capacity carry the cities? From devices, poll interval and change rates to units, with the reasoning.

Every constant says where it comes from. Rates are of a bad day, not of an average one, and nothing here looks anything up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from activator.declarations import DeclarationError, Fault
from infra.azure.limits import INSTANCES_PER_GROUP, ITEMS_PER_WORKSPACE, MOST_PARTITIONS, MOST_THROUGHPUT_UNITS, ROLE_ASSIGNMENTS
from infra.settings.contacts import audiences, secret_names
from infra.settings.deployment import DEVELOPMENT_SKU, AzureSettings
from infra.settings.processor_settings import MAILED
from infra.settings.stack import Poll, StackSettings

ROOMS_PER_DEVICE = 0.4
"""A room has two and a half devices: the video device, its touch panel, often a phone (the simulated estate)."""
DEVICES_PER_LOCATION = 100
UNHEALTHY_SHARE = 0.07
"""Sent at every poll: 4.5 % connected with issues and 2.4 % down on an ordinary day (the simulated estate)."""
CHANGES_PER_DEVICE_DAY = 4.0
"""Status, issue and firmware changes. Faults alone make 0.1; a night that reboots every device twice makes 4."""
READINGS_PER_METRIC_REQUEST = 2.0
"""Sensors report every few minutes, and a pair is asked again after about as long."""
OBSERVATIONS_PER_ROOM_STATUS = 2.0
"""What a device reports makes an observation of the device and one of its room."""
OBSERVATION_BYTES = 1_800
"""A device with long ids, six signals and five rules is 1.7 kB of JSON; AMQP adds a little."""
SNAPSHOT_SECONDS = 5.0
"""A full snapshot is sent as fast as the namespace takes it; in 5 s nobody sees it on a page."""
EVENTS_PER_THROUGHPUT_UNIT = 1_000.0
BYTES_PER_THROUGHPUT_UNIT = 1_000_000.0
"""Standard tier, per second and unit, into the namespace; as much again can be read twice (2 MB/s, 4,096 events/s)."""
BYTES_PER_PARTITION = 1_000_000.0
"""A partition takes what one throughput unit takes."""
ROWS_PER_STREAMING_UNIT_TENTH = 500.0
"""One V2 unit (10 as the API counts) takes 5,000 events/s of 1 kB: Microsoft's figure for six V1 units, the same node."""
TENTHS_OF_ONE_UNIT = 10
"""One V2 unit: a node, and the most that a step can use which isn't parallel by partition. A partition is read by one node
(learn.microsoft.com/azure/stream-analytics/stream-analytics-parallelization)."""
MOST_STREAMING_UNITS = 60
"""Of the units a stack can declare (stack.schema.json)."""
SIGNALS_OF_A_CITY = 60
"""At most: signals there are (docs/contracts.md), each a row of the query's city minutes."""
REMEMBERED_IDS_SECONDS = 600.0
"""The query drops repeats of an id within ten minutes, and keeps every id as long."""
LOOKING_BACK = 7.0
"""Functions of the query that look back over days (LAG, LAST, ISFIRST): each keeps a row for each entity and rule."""
BYTES_PER_ID, BYTES_PER_ROW = 300.0, 1_000.0
"""Assumed: what the service keeps for an id, and for a row with its columns, in memory."""
GIGABYTES_PER_UNIT = 4.0
"""Assumed, on the careful side: what the state of a query may take of a V2 unit. The metric SU % has the truth."""
MOST_OF_MEMORY = 0.8
"""Of SU: above it Microsoft says to scale, and alert `query-full` fires."""
ROWS_PER_OBSERVATION = 6.0
"""The query expands an observation into its signals: six for a device whose rules look at six."""
COMPRESSION = 8.0
"""Assumed: a columnar store keeps rows whose ids repeat in an eighth of their JSON. `.show table details` has the truth."""
CACHE_GIGABYTES = {DEVELOPMENT_SKU: 24.0, "Standard_E2ads_v5": 65.0, "Standard_E4ads_v5": 130.0, "Standard_E8ads_v5": 260.0}
"""Assumed, on the careful side of the machines' local disks: what an instance may use as its fast cache."""
ROOMS_IN_NEED_SHARE = 0.06
"""Rooms with issues or in a call we know of: 4.5 % of devices have issues on an ordinary day (the simulated estate)."""
PRIORITY_ROOMS_SHARE = 0.25
"""Assumed: as many rooms have a priority tag where a stack names one."""
WEBEX_SHARE = 0.8
"""How much of a poll's time its requests may take; the rest is for retries."""
DEVICES_PER_PAGE = 1_000
FEWEST_PER_PAGE = 200
"""Assumed: what Webex may cap a page at. The cap is not documented, so what is promised holds with this one."""
LISTING_SHARE = 0.75
"""How much of a poll's time the listings may take before the next poll goes on with them (docs/decisions/0322)."""
DOWN_SHARE, ISSUES_SHARE = 0.024, 0.045
"""Listed by themselves in every poll where the listing of all devices takes several (the simulated estate, an ordinary day)."""
LONGEST_INVENTORY_MINUTES = 60.0
"""That a device is well again is said when the listing comes by: an hour late would not be a live view."""
SHARED_ROLES = 30
"""Role assignments of what all cities share, at most."""
SHARED_ITEMS = 13
"""Of a workspace, with what Fabric makes by itself (an endpoint of SQL, a model beside a lakehouse)."""
OTHER_STACK = "Take a second stack for some of the cities, or poll less often (poll.seconds, poll.snapshotMinutes)."
METRIC_WINDOW_HOURS = 48.0
"""Readings older than that can't be asked for any more: a slower sweep over the rooms would lose some."""


@dataclass(frozen=True)
class Load:
    """What the cities ask of the pipeline. Rates are per second, requests per poll.

    `inventory_minutes`: how long it takes to list everything. `longest_inventory_minutes`: the same where Webex gives the fewest
    records a page.
    """

    devices: int
    rooms: int
    steady: float
    snapshot: float
    inventory_requests: int
    inventory_minutes: float
    longest_inventory_minutes: float
    room_status_requests: float
    metric_requests: int
    metric_sweep_hours: float
    gigabytes_per_day: float

    @property
    def webex_requests(self) -> int:
        """Requests of all tiers in a poll."""
        return math.ceil(self.inventory_requests + self.room_status_requests + self.metric_requests)

    @property
    def busy_minute(self) -> float:
        """Observations per second over the minute that holds a full snapshot: what the stream query has to keep up with."""
        return self.steady + self.devices / 60.0


@dataclass(frozen=True)
class Need:
    """One capacity: what is needed of it, what is declared, and why (a sentence with the figures).

    `way_out` is of a limit that nobody declares: what to do when Azure (infra/azure/limits.py) has no more. `has` words how much
    there is of it.
    """

    path: str
    what: str
    needed: float
    declared: float
    because: str
    way_out: str = ""
    has: str = "Azure has {}"

    @property
    def is_met(self) -> bool:
        """Whether what is declared is enough."""
        return self.needed <= self.declared


@dataclass(frozen=True)
class Sizing:
    """The load of a stack and each capacity it was held against."""

    load: Load
    needs: tuple[Need, ...]


def size(stack: StackSettings) -> Sizing:
    """The reasoning for a stack with a part `azure`; raises DeclarationError naming every capacity that is too small."""
    if stack.azure is None:
        fault = Fault("azure", "is missing: a stack that is deployed says where (docs/configuration.md).")
        raise DeclarationError(f"Stack {stack.stack} can't be deployed", [fault])
    load = load_of(stack)
    through_azure = (*_event_hubs(stack.azure, load), *_query(stack.azure, load, len(stack.cities)), *_kusto(stack.azure, load))
    needs = (*(through_azure if stack.azure.route == "azure" else ()), *_of_each_organisation(stack, load), *_limits(stack))
    short = [Fault(need.path, _too_little(need)) for need in needs if not need.is_met]
    if short:
        raise DeclarationError(f"Stack {stack.stack} can't carry its cities", short)
    return Sizing(load, needs)


def load_of(stack: StackSettings) -> Load:
    """What a stack's cities ask for, from its devices, its poll interval and the rates above."""
    poll = stack.poll
    devices = sum(city.devices for city in stack.cities)
    rooms = round(devices * ROOMS_PER_DEVICE)
    locations = max(len(stack.cities), devices / DEVICES_PER_LOCATION)
    unhealthy = devices * UNHEALTHY_SHARE / poll.seconds
    changes = devices * CHANGES_PER_DEVICE_DAY / 86_400
    snapshots = devices / (poll.snapshot_minutes * 60)
    places = (locations + len(stack.cities)) / poll.seconds
    pairs = rooms * len(poll.metrics)
    asked = min(poll.metric_requests_per_poll, pairs)
    readings = asked * READINGS_PER_METRIC_REQUEST / poll.seconds
    in_need = rooms * (PRIORITY_ROOMS_SHARE if poll.priority_tags else ROOMS_IN_NEED_SHARE)
    room_status = in_need / poll.xapi_seconds if poll.xapi_requests_per_second else 0.0
    inventory_requests, inventory_minutes = inventory(devices, rooms, poll, DEVICES_PER_PAGE)
    steady = unhealthy + changes + snapshots + places + readings + room_status * OBSERVATIONS_PER_ROOM_STATUS
    return Load(
        devices=devices,
        rooms=rooms,
        steady=steady,
        snapshot=steady + devices / SNAPSHOT_SECONDS,
        inventory_requests=inventory_requests,
        inventory_minutes=inventory_minutes,
        longest_inventory_minutes=inventory(devices, rooms, poll, FEWEST_PER_PAGE)[1],
        room_status_requests=room_status * poll.seconds,
        metric_requests=asked,
        metric_sweep_hours=pairs / asked * poll.seconds / 3600 if asked else 0.0,
        gigabytes_per_day=steady * OBSERVATION_BYTES * 86_400 / 1e9,
    )


def inventory(devices: int, rooms: int, poll: Poll, per_page: int) -> tuple[int, float]:
    """Requests of the listings in a poll, and the minutes until everything is listed.

    `per_page`: how many records Webex gives at once.
    """
    pages = math.ceil(devices / per_page) + math.ceil(rooms / per_page) + 1
    most = math.floor(poll.seconds * LISTING_SHARE * poll.requests_per_second)
    if pages <= most:
        return pages, pages / poll.requests_per_second / 60
    outages = math.ceil(devices * DOWN_SHARE / per_page) + math.ceil(devices * ISSUES_SHARE / per_page)
    going_on = max(2, most - outages)  # at least a page of the devices and one of the rooms
    return outages + going_on, math.ceil(pages / going_on) * poll.seconds / 60


def _event_hubs(azure: AzureSettings, load: Load) -> tuple[Need, ...]:
    hubs = azure.event_hubs
    partitions = math.ceil(load.snapshot * OBSERVATION_BYTES / BYTES_PER_PARTITION)
    steady = load.steady * 2  # what comes in as an observation goes out again as a row, into the same namespace
    burst = load.snapshot + load.steady
    return (
        Need("azure/eventHubs/throughputUnits", "throughput units at rest", _units(steady), hubs.throughput_units,
             f"{figure(load.steady, 0)} observations/s and as many rows, {OBSERVATION_BYTES} B each; a unit takes 1 MB/s or "
             "1,000/s."),
        Need("azure/eventHubs/maximumThroughputUnits", "throughput units at most", _units(burst), hubs.maximum_throughput_units,
             f"a snapshot of {load.devices:,} devices in {SNAPSHOT_SECONDS:g} s is {figure(load.snapshot, 0)} observations/s.",
             **_beyond(_units(burst), MOST_THROUGHPUT_UNITS)),
        Need("azure/eventHubs/partitions", "partitions", partitions, hubs.partitions,
             f"a snapshot is {figure(load.snapshot * OBSERVATION_BYTES / 1e6)} MB/s; a partition takes 1 MB/s.",
             **_beyond(partitions, MOST_PARTITIONS)),
    )  # fmt: skip


def _beyond(needed: int, most: int) -> dict[str, str]:
    """The way out where more is needed than can be declared."""
    return {"way_out": "Take a second stack for some of the cities.", "has": f"Azure has {most}"} if needed > most else {}


def _units(events: float) -> int:
    return math.ceil(max(events / EVENTS_PER_THROUGHPUT_UNIT, events * OBSERVATION_BYTES / BYTES_PER_THROUGHPUT_UNIT))


def _query(azure: AzureSettings, load: Load, cities: int) -> tuple[Need, ...]:
    rows = load.busy_minute * ROWS_PER_OBSERVATION
    needed = math.ceil(rows / ROWS_PER_STREAMING_UNIT_TENTH)
    units, partitions = azure.streaming_units, azure.event_hubs.partitions
    usable = usable_units(units, partitions)
    shared = f" {partitions} partitions shared by V2 units whole use {usable:g} of {units}." if usable < units else ""
    busiest = f"the busiest minute is {figure(load.busy_minute, 0)} observations/s, {figure(rows, 0)} rows/s"
    because = f"{busiest}; a V2 unit (10) takes 5,000/s."
    return (
        Need("azure/streamAnalytics/streamingUnits", "streaming units", needed, usable, because + shared),
        Need("azure/eventHubs/partitions", "partitions for the streaming units", math.ceil(needed / TENTHS_OF_ONE_UNIT),
             partitions, f"{figure(rows, 0)} rows/s; all that looks back runs by partition, a partition on one V2 unit: "
             "5,000/s."),
        Need("cities", "streaming units the query can use", needed, MOST_STREAMING_UNITS,
             f"{figure(rows, 0)} rows/s, and a stack can declare {MOST_STREAMING_UNITS} units.", OTHER_STACK),
        _city_minutes(azure, cities, rows),
        _state(azure, load),
    )  # fmt: skip


def usable_units(units: int, partitions: int) -> float:
    """Of the streaming units declared, those that share the partitions evenly: 8 partitions on 3 nodes are as fast as on 2.7."""
    nodes = units // TENTHS_OF_ONE_UNIT
    return round(TENTHS_OF_ONE_UNIT * partitions / math.ceil(partitions / nodes), 1) if nodes else units


def _city_minutes(azure: AzureSettings, cities: int, read: float) -> Need:
    """The one step that isn't parallel: it adds up what partitions counted of a city's minute, at most what was `read`."""
    partitions = azure.event_hubs.partitions
    rows = min(read, cities * SIGNALS_OF_A_CITY * partitions / 60)
    return Need(
        "cities", "rows/s of city minutes", math.ceil(rows), ROWS_PER_STREAMING_UNIT_TENTH * TENTHS_OF_ONE_UNIT,
        f"{cities:,} cities, {SIGNALS_OF_A_CITY} signals, a row a minute from each of {partitions} partitions; "
        "one V2 unit adds them up.",
        f"Take fewer partitions, or: {OTHER_STACK}",
    )  # fmt: skip


def _state(azure: AzureSettings, load: Load) -> Need:
    """What the query remembers: every id of ten minutes, a row for each entity and rule in each function that looks back."""
    ids = load.steady * REMEMBERED_IDS_SECONDS + load.devices
    rows = (load.devices + load.rooms) * ROWS_PER_OBSERVATION
    megabytes = (ids * BYTES_PER_ID + rows * LOOKING_BACK * BYTES_PER_ROW) / 1e6
    memory = azure.streaming_units / TENTHS_OF_ONE_UNIT * GIGABYTES_PER_UNIT * 1_000
    because = (
        f"{figure(ids, 0)} ids of {REMEMBERED_IDS_SECONDS / 60:g} minutes and "
        f"{figure(rows, 0)} pairs of entity and rule, {LOOKING_BACK:g} "
        f"rows each: {megabytes / memory:.0%} of SU with {azure.streaming_units} units, and {MOST_OF_MEMORY:.0%} is the most."
    )
    state = "MB that the query remembers"
    return Need("azure/streamAnalytics/streamingUnits", state, round(megabytes, 1), memory * MOST_OF_MEMORY, because)


def _of_each_organisation(stack: StackSettings, load: Load) -> Iterator[Need]:
    """What is asked of Webex: each organisation has its own tokens, and so its own rate of requests."""
    names = sorted({city.organisation for city in stack.cities})
    for name in names:
        own = replace(stack, cities=tuple(city for city in stack.cities if city.organisation == name))
        for need in _webex(own, load_of(own) if len(names) > 1 else load):
            yield replace(need, what=f"{need.what} ({name})") if name else need


def _webex(stack: StackSettings, load: Load) -> tuple[Need, ...]:
    poll = stack.poll
    budget = math.floor(poll.seconds * WEBEX_SHARE * poll.requests_per_second)
    room_status = load.room_status_requests / poll.seconds
    left = budget - math.ceil(load.inventory_requests + load.room_status_requests)
    fewer = f"Write metricRequestsPerPoll: {left}, or " if left > 0 else "Ask rooms in need less often (xapiSeconds), or "
    return (
        Need("poll/metricRequestsPerPoll", "Webex requests in a poll", load.webex_requests, budget,
             f"{poll.requests_per_second:g}/s over {WEBEX_SHARE:.0%} of the {poll.seconds} s between polls: "
             f"{load.inventory_requests} for the inventory, {figure(load.room_status_requests)} for the status of rooms, "
             f"{load.metric_requests} for metrics.",
             f"{fewer}poll less often (poll.seconds), or raise requestsPerSecond if Webex takes more of you.", "{} fit in"),
        Need("poll/seconds", "minutes to list everything once", load.longest_inventory_minutes, LONGEST_INVENTORY_MINUTES,
             f"{load.devices:,} devices and {load.rooms:,} rooms, {FEWEST_PER_PAGE} a page, in {LISTING_SHARE:.0%} of each poll; "
             f"{figure(load.inventory_minutes)} if Webex gives {DEVICES_PER_PAGE:,} a page. "
             "Outages are reported in every poll all the same."),
        Need("poll/xapiSeconds", "devices asked in a second", room_status, poll.xapi_requests_per_second * WEBEX_SHARE,
             f"{figure(room_status * poll.xapi_seconds, 0)} rooms in need, each every {poll.xapi_seconds} s, at "
             f"{poll.xapi_requests_per_second:g}/s over {WEBEX_SHARE:.0%} of the time."),
        Need("poll/metrics", "hours to read every room's sensors once", load.metric_sweep_hours, METRIC_WINDOW_HOURS,
             f"{load.rooms:,} rooms x {len(stack.poll.metrics)} metrics, {stack.poll.metric_requests_per_poll} a poll; "
             "Webex gives readings of the last 48 h."),
    )  # fmt: skip


def _kusto(azure: AzureSettings, load: Load) -> tuple[Need, ...]:
    if azure.kusto is None:
        return ()
    hot = load.gigabytes_per_day / COMPRESSION * azure.kusto.hot_days
    cache = CACHE_GIGABYTES[azure.kusto.sku] * azure.kusto.instances
    return (
        Need("azure/kusto/hotDays", "GB in the fast cache", hot, cache,
             f"{figure(load.gigabytes_per_day)} GB of JSON a day, an eighth of that stored, {azure.kusto.hot_days} days; "
             f"{azure.kusto.instances} x {azure.kusto.sku}."),
    )  # fmt: skip


def _limits(stack: StackSettings) -> tuple[Need, ...]:
    """What grows with the cities and has an end in Azure."""
    reported = sum(len(audiences(city.contacts, kind)) for city in stack.cities for kind in MAILED)
    routes = Need(
        "cities", "alert routes", reported + 1, INSTANCES_PER_GROUP,
        f"{reported:,} audiences of email and sms, and rooms of no city; a resource group has {INSTANCES_PER_GROUP:,}.",
        "Give a city's email and sms contacts the same severities and hours, notify people by webex, teams or webhook, or take a "
        "second stack for some of the cities.",
    )  # fmt: skip
    secrets = {*secret_names(contact for city in stack.cities for contact in city.contacts), *stack.control_hub_secrets}
    partners = {city.organisation for city in stack.cities if city.organisation}
    roles = Need(
        "cities", "role assignments", SHARED_ROLES + len(secrets) + 2 * len(partners), ROLE_ASSIGNMENTS,
        f"one for each of {len(secrets):,} secrets of contacts, two for each of {len(partners):,} partners' organisations, and "
        f"{SHARED_ROLES} of all at most; a subscription has {ROLE_ASSIGNMENTS:,}, with everything else that is in it.",
        "Let contacts share a secret, or take a second stack in another subscription.",
    )  # fmt: skip
    content = stack.azure.fabric.content if stack.azure and stack.azure.fabric else ()
    each = len({"reports", "activator"} & set(content))
    if not each:
        return routes, roles
    items = Need(
        "azure/fabric/content", "items in the workspace", len(stack.cities) * each + SHARED_ITEMS, ITEMS_PER_WORKSPACE,
        f"{each} for each of {len(stack.cities):,} cities, and {SHARED_ITEMS} of all; a workspace has {ITEMS_PER_WORKSPACE:,}.",
        "Take activator or reports out, or take a second stack with a workspace of its own.",
    )  # fmt: skip
    return routes, roles, items


def _too_little(need: Need) -> str:
    has = need.has if need.way_out else "{} declared"
    reported = f"{need.what}: {figure(need.needed)} needed, {has.format(figure(need.declared))}, because {need.because}"
    return f"{reported} {need.way_out}".rstrip()


def figure(number: float, digits: int = 1) -> str:
    """A quantity with so many digits, and whole where it is; what rounds to nothing is not nothing, and says so."""
    least = 10.0**-digits
    if 0 < number < least / 2:
        return f"<{least:g}"
    return f"{number:,.0f}" if number == int(number) else f"{number:,.{digits}f}"
