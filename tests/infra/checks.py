"""Everything that must hold for any deployment, as checks that name what is wrong. `findings` is empty for a good one.

The stacks of this repository have no findings; seeded faults (test_seeded_faults.py) prove that each check bites.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from infra.azure import limits
from infra.azure.roles import declared_roles
from infra.fabric.eventhouse import AVAILABLE
from infra.offline import Recording, Registration
from infra.parts import kind_of
from infra.policies.rules import at, violations
from infra.providers.fabric.role_assignment import PRINCIPALS
from infra.providers.fabric.role_assignment import ROLES as WORKSPACE_ROLES
from powerbi.items import ITEM_TYPES, FabricItem
from tests.infra.alert_checks import ALERT_CHECKS
from tests.infra.arm_bodies import AZURE, address, arm_body, arm_name, names_of, types_file
from tests.infra.deployments import TOKEN
from tests.infra.fabric.eventstream_rules import Specification
from tests.infra.fabric.eventstream_rules import faults as eventstream_faults
from tests.infra.fabric.wiring_checks import FABRIC_CHECKS
from tests.infra.network_checks import NETWORK_CHECKS
from tests.infra.providers.bicep_types import BicepTypes
from tests.infra.published_checks import PUBLISHED_CHECKS
from tests.infra.recorded import id_of, inside_fabric, of_type, ours, setting_of, triggers
from tests.infra.service_checks import SERVICE_CHECKS
from tests.infra.setting_checks import SETTING_CHECKS
from tests.infra.standing_checks import STANDING_CHECKS
from tests.infra.wiring_checks import WIRING_CHECKS
from tests.support.shared_data import REPOSITORY, shared_data

OURS = frozenset({"Custom-RoomAlerts"})
"""A stream of our own, where the types list only Microsoft's."""
BY_ADDRESS = re.compile(r"^/name: None is none of \['ftp', 'scm'\]$")
"""azure-native sets this name by the class."""

LEGAL_NAMES = {
    "resources:ResourceGroup": r"[\w.()-]{0,89}[\w()-]",
    "eventhub:Namespace": r"[a-zA-Z][a-zA-Z0-9-]{4,48}[a-zA-Z0-9]",
    "storage:StorageAccount": r"[a-z0-9]{3,24}",
    "keyvault:Vault": r"(?!.*--)[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]",
    "kusto:Cluster": r"[a-z][a-z0-9]{3,21}",
    "fabric:FabricCapacity": r"[a-z][a-z0-9]{2,62}",
    "web:WebApp": r"[a-zA-Z0-9][a-zA-Z0-9-]{0,58}[a-zA-Z0-9]",
    "operationalinsights:Workspace": r"[a-zA-Z0-9][a-zA-Z0-9-]{2,61}[a-zA-Z0-9]",
    "managedidentity:UserAssignedIdentity": r"[a-zA-Z0-9][\w-]{2,127}",
    "monitor:ActionGroup": r"[^/&%\\?]{1,260}",
    "authorization:RoleAssignment": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}
FREE_FORM = frozenset({"tags", "streamDeclarations", "identity"})
DIAGNOSE = "observability.diagnose where its part makes it, or diagnosed=False in its Kind where Azure has no logs of such a type"
DURATION = re.compile(r"P(\d+D)?(T(\d+H)?(\d+M)?)?")


def findings(recording: Recording) -> list[str]:
    """Everything wrong with a deployment."""
    return [finding for check in CHECKS for finding in check(recording)]


def check_everything_is_registered_once(recording: Recording) -> Iterator[str]:
    """Mocks accept two registrations of one URN; the engine does not, and Azure knows no two resources at one address."""
    for urn, count in Counter(registration.urn for registration in recording.registrations).items():
        if count > 1:
            yield f"{urn} is registered {count} times"
    azure = [resource for resource in recording.resources if resource.type.startswith(AZURE)]
    for place, count in Counter(address(resource) for resource in azure).items():
        if count > 1:
            yield f"{' '.join(place)}: {count} resources at one address in Azure"


def check_bodies_are_what_azure_takes(recording: Recording) -> Iterator[str]:
    """Every body against Microsoft's types: names, enums, required and read-only properties, lengths."""
    for resource in recording.resources:
        if resource.type.startswith(AZURE):
            yield from _faults_of_body(resource)


_OF_BODIES: dict[int, tuple[Registration, list[str]]] = {}
"""What was found of a registration, by its identity: a seeded fault changes one of two hundred, and the others stay the same."""


def _faults_of_body(resource: Registration) -> list[str]:
    known = _OF_BODIES.get(id(resource))
    if known is None or known[0] is not resource:
        known = _OF_BODIES[id(resource)] = (resource, list(_found_in_body(resource)))
    return known[1]


def _found_in_body(resource: Registration) -> Iterator[str]:
    folder = shared_data("arm-types")
    file = types_file(folder, resource.type.removeprefix(AZURE))
    if file is None:
        yield f"{resource.name}: no Bicep types for {resource.type}"
        return
    for fault in BicepTypes(file, OURS).faults(arm_body(resource, file)):
        if not BY_ADDRESS.match(fault):
            yield f"{resource.name}{fault}"


def check_no_python_name_reaches_the_wire(recording: Recording) -> Iterator[str]:
    """A dict given for an ambiguous union keeps its Python keys, and Azure ignores them without a word."""
    for resource in recording.resources:
        for path in _keys(resource.inputs):
            if "_" in path.rsplit(".", 1)[-1] and not path.rsplit(".", 1)[-1].startswith("__"):
                yield f"{resource.name}.{path}: a Python name on the wire"


def check_names_are_legal(recording: Recording) -> Iterator[str]:
    """Azure's rules for names, which are stricter than its types; and every name is ours, since Pulumi's end in chance."""
    for resource in (resource for resource in recording.resources if resource.type.startswith(AZURE)):
        token = resource.type.removeprefix(AZURE)
        nameless = [name for name in names_of(token) if name not in resource.inputs]
        for name in nameless:
            yield f"{resource.name}: no {name}, so Pulumi makes one up"
        if not nameless and not re.fullmatch(LEGAL_NAMES.get(token, r".{1,120}"), arm_name(resource)):
            yield f"{resource.name}: {arm_name(resource)!r} is not a legal name for {token}"


def check_names_follow_from_the_stack(recording: Recording) -> Iterator[str]:
    """A name with a date or chance in it is another at the next run, and another name is another resource."""
    (group,) = of_type(recording, "resources:ResourceGroup")
    organisation, stack = arm_name(group).rsplit("-", 2)[-2:]
    for resource in recording.resources:
        token = resource.type.removeprefix(AZURE)
        if token == "authorization:RoleAssignment":
            if uuid.UUID(arm_name(resource)).version != 5:
                yield f"{resource.name}: its name is chance, not made of what it is about"
            continue
        name = resource.inputs.get(names_of(token)[-1]) if token in LEGAL_NAMES else None
        if name and not str(name).endswith((f"{organisation}-{stack}", f"{organisation}{stack}")):
            yield f"{resource.name}: {name} is not made of its purpose, {organisation} and {stack} alone"


def changes_between(first: Recording, second: Recording) -> list[str]:
    """What is another at the second of two runs with the same settings: nothing may be."""
    before, after = ({r.urn: r.inputs for r in run.resources} for run in (first, second))
    changed = [urn for urn in before.keys() | after.keys() if before.get(urn) != after.get(urn)]
    return sorted(f"{urn.rsplit('::', 1)[-1]} changes from run to run" for urn in changed)


def check_limits_of_what_is_counted(recording: Recording) -> Iterator[str]:
    """How many of one thing Azure takes in another (infra/azure/limits.py)."""
    held: Counter[tuple[str, str, int]] = Counter()
    for token, within, most in (
        ("kusto:Script", "clusterName", limits.SCRIPTS_PER_CLUSTER),
        ("eventhub:EventHub", "namespaceName", limits.HUBS_PER_NAMESPACE),
        ("eventhub:ConsumerGroup", "eventHubName", limits.CONSUMER_GROUPS_PER_HUB - 1),  # one is there by itself
        ("alertsmanagement:AlertProcessingRuleByName", "resourceGroupName", limits.INSTANCES_PER_GROUP),
        ("monitor:ActionGroup", "resourceGroupName", limits.INSTANCES_PER_GROUP),
        ("monitor:ActivityLogAlert", "resourceGroupName", limits.ACTIVITY_LOG_ALERTS),
    ):
        held.update((token, str(resource.inputs[within]), most) for resource in of_type(recording, token))
    for group in of_type(recording, "monitor:ActionGroup"):
        held[("sms receivers", group.name, limits.SMS_PER_ACTION_GROUP)] = len(group.inputs.get("smsReceivers") or [])
        held[("email receivers", group.name, limits.EMAILS_PER_ACTION_GROUP)] = len(group.inputs.get("emailReceivers") or [])
    yield from (f"{place}: {count} {what}; Azure takes {most}" for (what, place, most), count in held.items() if count > most)
    scripts = of_type(recording, "kusto:Script")
    for index, script in enumerate(scripts[1:], 1):
        if not {before.urn for before in scripts[:index]} & set(script.depends_on):
            yield f"{script.name}: made at the same time as another script; Azure refuses that"


def check_limits_of_the_services(recording: Recording) -> Iterator[str]:
    """Limits that are in the documentation and not in the types."""
    for resource in recording.resources:
        inputs = resource.inputs
        if resource.type.endswith(":eventhub:Namespace"):
            units, most = at(inputs, "sku.capacity"), inputs["maximumThroughputUnits"]
            if not 1 <= units <= most <= 40:
                yield f"{resource.name}: {units} to {most} throughput units; Standard has 1 to 40"
        if resource.type.endswith(":keyvault:Vault"):
            days = at(inputs, "properties.softDeleteRetentionInDays")
            if not 7 <= days <= 90:
                yield f"{resource.name}: keeps deleted secrets {days} days; Azure has 7 to 90"
        if resource.type.endswith(":eventhub:EventHub"):
            hours = at(inputs, "retentionDescription.retentionTimeInHours")
            if not 1 <= hours <= limits.MOST_RETENTION_HOURS:
                yield f"{resource.name}: keeps events {hours} h; Standard keeps {limits.MOST_RETENTION_HOURS}"
        if resource.type.endswith((":ScheduledQueryRule", ":MetricAlert")):
            if inputs["severity"] not in range(5):
                yield f"{resource.name}: severity {inputs['severity']}; Azure has 0 to 4"
            for name in ("evaluationFrequency", "windowSize"):
                if not DURATION.fullmatch(inputs[name]):
                    yield f"{resource.name}: {name} {inputs[name]!r} is not an ISO 8601 duration"
        if resource.type.endswith((":ScheduledQueryRule", ":MetricAlert", ":ActivityLogAlert", ":AlertProcessingRuleByName")):
            log_alert = resource.type.endswith(":ScheduledQueryRule")
            most = limits.LOG_ALERT_DESCRIPTION if log_alert else limits.ALERT_DESCRIPTION
            told = str(inputs.get("description") or (inputs.get("properties") or {}).get("description") or "")
            if len(told) > most:
                yield f"{resource.name}: description of {len(told)} characters; Azure takes {most}"
        if resource.type.endswith(":ConsumerGroup") and len(inputs["consumerGroupName"]) > limits.CONSUMER_GROUP_NAME:
            yield f"{resource.name}: its name is longer than {limits.CONSUMER_GROUP_NAME} characters, which AMQP takes"
        if resource.type.endswith(":ScheduledQueryRule"):
            query = at(inputs, "criteria.allOf")[0]
            if len(query.get("dimensions", [])) > 6:
                yield f"{resource.name}: more than 6 dimensions"
            if "adx(" in str(query["query"]) and inputs["evaluationFrequency"] == "PT1M":
                yield f"{resource.name}: a query over adx() can't run every minute"
        if resource.type.endswith(":AlertProcessingRuleByName"):
            for condition in at(inputs, "properties.conditions"):
                if len(condition["values"]) > 5:
                    yield f"{resource.name}: more than 5 values in a condition"
        if resource.type.endswith(":WebApp"):
            scale = at(inputs, "functionAppConfig.scaleAndConcurrency")
            if not 40 <= scale["maximumInstanceCount"] <= 1000 or scale.get("instanceMemoryMB") not in (512, 2048, 4096):
                yield f"{resource.name}: Flex Consumption has 40 to 1000 instances of 512, 2048 or 4096 MB"


def check_nothing_is_open(recording: Recording) -> Iterator[str]:
    """The policies that hold at every deployment (infra/policies), and that both passwords of every app are off."""
    for resource in recording.resources:
        yield from (f"{resource.name}: {violation}" for violation in violations(resource.type, resource.inputs))
    for app in of_type(recording, "web:WebApp"):
        channels = {"web:WebAppScmAllowed", "web:WebAppFtpAllowed"}
        closed = {r.type.removeprefix(AZURE) for r in recording.resources if r.inputs.get("name") == arm_name(app)} & channels
        for channel in channels - closed:
            yield f"{app.name}: {channel} is not closed"


def check_no_secret_is_in_plain(recording: Recording) -> Iterator[str]:
    """What Webex gave us is in the vault alone, and there it is a secret."""
    for resource in recording.resources:
        if TOKEN in json.dumps(resource.inputs, default=str) and not (
            resource.type.endswith("keyvault:Secret") and "properties" in resource.secrets
        ):
            yield f"{resource.name}: the token is in plain"
        if resource.secrets and not resource.type.endswith("keyvault:Secret"):
            yield f"{resource.name}: {sorted(resource.secrets)} hidden though no secret: a preview can't show it"
    if TOKEN in json.dumps(recording.outputs, default=str):
        yield "outputs: the token is in plain"


def check_roles_are_exactly_those_declared(recording: Recording) -> Iterator[str]:
    """Too few and the deployment fails on Azure; too many and nobody notices."""
    role_of = declared_roles()
    given: dict[str, set[tuple[str, str]]] = {}
    for assignment in of_type(recording, "authorization:RoleAssignment"):
        identity = str(assignment.inputs["principalId"]).removeprefix("principal of ").removesuffix("-identity")
        role = role_of.get(str(assignment.inputs["roleDefinitionId"]).rsplit("/", 1)[-1], "unknown role")
        given.setdefault(identity, set()).add((role, _scope(str(assignment.inputs["scope"]))))
    expected = _reviewed_roles(recording, role_of)
    for identity in sorted(expected.keys() | given.keys()):
        for role, scope in sorted(expected.get(identity, set()) - given.get(identity, set())):
            yield f"{identity} lacks {role} on {scope}"
        for role, scope in sorted(given.get(identity, set()) - expected.get(identity, set())):
            yield f"{identity} has {role} on {scope}, which no reviewed plan has: {RENEW}"


RENEW = "if it shall, renew them with ROOMPULSE_UPDATE_SNAPSHOTS=1 pytest tests/infra/test_plan.py, and read what changes"
REVIEWED_ROLE = re.compile(
    r"\[authorization:RoleAssignment\]\n    principalId: (.+)\n(?:.+\n)*?    roleDefinitionId: (.+)\n    scope: (.+)\n"
)


@cache
def _reviewed() -> list[tuple[str, str, re.Pattern[str]]]:
    """Who may do what on what, by the reviewed plans: principal, id of the role, scope."""
    plans = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests/infra/snapshots").glob("*.txt")]
    found = {(who, role.rsplit("/", 1)[-1], _scope(scope)) for plan in plans for who, role, scope in REVIEWED_ROLE.findall(plan)}
    return [(who, role, re.compile(re.sub("<[^>]+>", "[a-z0-9-]+", scope))) for who, role, scope in sorted(found)]


def _reviewed_roles(recording: Recording, role_of: Mapping[str, str]) -> dict[str, set[tuple[str, str]]]:
    """What each identity of a recording has in the reviewed plans, on what the recording has."""
    there = "\n".join(_scope(id_of(resource)) for resource in recording.resources)
    identities = {f"principal of {resource.name}" for resource in of_type(recording, "managedidentity:UserAssignedIdentity")}
    if any("adlsGen2" in shortcut.inputs["target"] for shortcut in ours(recording, "Shortcut")):
        identities.add("principal of fabric-identity")  # of the workspace, which reads the lake where it shows it
    found: dict[str, set[tuple[str, str]]] = {}
    for who, role, scope in _reviewed():
        if who in identities:
            name = who.removeprefix("principal of ").removesuffix("-identity")
            roles = {(role_of.get(role, "unknown role"), line) for line in there.splitlines() if scope.fullmatch(line)}
            found.setdefault(name, set()).update(roles)
    return found


def check_readers_have_their_hub_and_group(recording: Recording) -> Iterator[str]:
    """Hubs and groups are those of the local stand-in, and every group has exactly one reader."""
    if inside_fabric(recording):
        yield from _readers_of_endpoints(recording)
        return
    groups = {(g.inputs["eventHubName"], g.inputs["consumerGroupName"]) for g in of_type(recording, "eventhub:ConsumerGroup")}
    config = json.loads((REPOSITORY / "local/event_hubs/Config.json").read_text(encoding="utf-8"))
    (namespace,) = config["UserConfig"]["NamespaceConfig"]
    local = {(hub["Name"], group["Name"]) for hub in namespace["Entities"] for group in hub["ConsumerGroups"]}
    for hub, group in sorted(groups ^ local):
        yield f"hub {hub}, group {group}: only {'locally' if (hub, group) in local else 'in Azure'}"
    readers = Counter(_readers(recording))
    for reader, count in readers.items():
        if reader not in groups:
            yield f"somebody reads hub {reader[0]} with group {reader[1]}, which does not exist"
        if count > 1:
            yield f"{count} readers share hub {reader[0]}, group {reader[1]}"
    live_store = bool(of_type(recording, "kusto:Cluster"))
    for hub, group in sorted(groups - set(readers)):
        if live_store or group != "livestore":
            yield f"nobody reads hub {hub} with group {group}"


def check_alerts_reach_people(recording: Recording) -> Iterator[str]:
    """Every rule ends at an action group, and every action group at somebody."""
    groups = {id_of(group): group for group in of_type(recording, "monitor:ActionGroup")}
    routes = of_type(recording, "alertsmanagement:AlertProcessingRuleByName")
    routed = {id_ for route in routes for action in at(route.inputs, "properties.actions") for id_ in action["actionGroupIds"]}
    direct: set[str] = set()
    for rule in of_type(recording, "monitor:MetricAlert"):
        ids = {action["actionGroupId"] for action in rule.inputs.get("actions") or []}
        direct |= ids
        if not ids or not rule.inputs["enabled"]:
            yield f"{rule.name}: fires and nobody hears it"
    for rule in of_type(recording, "monitor:ActivityLogAlert"):
        ids = {action["actionGroupId"] for action in at(rule.inputs, "actions.actionGroups")}
        direct |= ids
        if not ids or not rule.inputs["enabled"]:
            yield f"{rule.name}: fires and nobody hears it"
    for rule in of_type(recording, "monitor:ScheduledQueryRule"):
        ids = set(at(rule.inputs, "actions.actionGroups") or [])
        direct |= ids
        by_route = "Route" in str(at(rule.inputs, "criteria.allOf")[0]["query"])
        if not rule.inputs["enabled"] or not (ids or by_route):
            yield f"{rule.name}: fires and nobody hears it"
    for id_ in sorted((direct | routed) - groups.keys()):
        yield f"action group {id_} is told about and does not exist"
    for id_, group in groups.items():
        if not any(group.inputs.get(kind) for kind in ("emailReceivers", "smsReceivers")) or not group.inputs["enabled"]:
            yield f"{group.name}: an action group without people"
        if id_ not in direct | routed:
            yield f"{group.name}: an action group nothing fires"
    for route in routes:
        if not at(route.inputs, "properties.enabled"):
            yield f"{route.name}: the route is off"


def check_destroy_and_refresh_work(recording: Recording) -> Iterator[str]:
    """What Azure would refuse at the end of a stack's life, or tell otherwise than it was told."""
    for secret in of_type(recording, "keyvault:Secret"):
        if not secret.retained:
            yield f"{secret.name}: deleted on the vault's data plane, where whoever deploys has no role"
    for vault in of_type(recording, "keyvault:Vault"):
        if "properties.softDeleteRetentionInDays" not in vault.ignored:
            yield f"{vault.name}: its days of soft delete follow azure.protect, and Azure takes them once"
    for setting in of_type(recording, "monitor:DiagnosticSetting"):
        of_blobs = "/blobServices/" in str(setting.inputs["resourceUri"])
        if of_blobs and [metric["category"] for metric in setting.inputs["metrics"]] != ["Capacity", "Transaction"]:
            yield f"{setting.name}: Azure names the metrics of blobs one by one, so AllMetrics differs in every refresh"


def check_silence_is_heard(recording: Recording) -> Iterator[str]:
    """A pipeline that stands still fires none of its own alerts: what tells of it is not part of it."""
    there = {r.name for token in ("monitor:MetricAlert", "monitor:ScheduledQueryRule") for r in of_type(recording, token)}
    needed = {"rooms-city-silent", "webex-token", "no-poll"}
    if of_type(recording, "eventhub:Namespace"):
        needed |= {"nothing-observed", "nothing-processed", "no-row"}
    if of_type(recording, "kusto:Cluster") and not of_type(recording, "network:VirtualNetwork"):
        needed.add("city-silent")
    for name in sorted(needed - there):
        yield f"{name}: there is no such rule, so nobody hears of silence"


def check_every_city_has_its_settings(recording: Recording) -> Iterator[str]:
    """Each app finds, in the container it looks at, what is common and a file for every city."""
    cities = {component.name for component in recording.registrations if component.type == "roompulse:azure:CityRoute"}
    containers = {
        f"https://{container.inputs['accountName']}.blob.core.windows.net/{container.inputs['containerName']}"
        for container in of_type(recording, "storage:BlobContainer")
    }
    files = ours(recording, "BlobFile")
    looked_at = {app.name: setting_of(app, "SETTINGS_BLOB_URL") for app in of_type(recording, "web:WebApp")}
    for app, place in looked_at.items():
        if place not in containers:
            yield f"{app}: its settings are looked for in {place}, which does not exist"
        here = {file.inputs["blobName"] for file in files if file.inputs["containerUrl"] == place}
        for piece in sorted({"common.json", *(f"cities/{slug}.json" for slug in cities)} ^ here):
            yield f"{app}: {piece} is {'of no city, and' if piece in here else 'missing'} in {place}"
    for file in files:
        processor = file.name.split("-")[0]
        if file.inputs["containerUrl"] != looked_at.get(f"{processor}-app"):
            yield f"{file.name}: goes to {file.inputs['containerUrl']}, where {processor} does not look"
        if file.urn not in recording[f"{processor}-package"].depends_on:
            yield f"{processor}-package does not wait for {file.name}"


def check_what_runs_waits_for_its_roles(recording: Recording) -> Iterator[str]:
    """Azure checks permissions when a job or a connection is written: roles, groups and tables come first."""
    urns = {registration.urn: registration for registration in recording.registrations}
    roles = {r.urn: r for r in of_type(recording, "authorization:RoleAssignment")}
    runs_as = {"web:WebApp": None, "kusto:EventHubDataConnection": "livestore"}
    waiting = [(r, r.name.removesuffix("-app") if identity is None else identity)
               for token, identity in runs_as.items() for r in of_type(recording, token)]  # fmt: skip
    waiting += [(r, "streamjob") for r in recording.resources if r.type.endswith(":StreamAnalyticsJob")]
    roles |= {r.urn: replace(r, name=r.name.removeprefix("workspace-") + "-") for r in ours(recording, "WorkspaceRoleAssignment")}
    for resource, identity in waiting:
        needed = {urn for urn, role in roles.items() if role.name.startswith(f"{identity}-")}
        for urn in sorted(needed - set(resource.depends_on)):
            yield f"{resource.name} does not wait for {urns[urn].name}"
        if resource.type.endswith(("DataConnection", "Job")) and not any("ConsumerGroup" in urn for urn in resource.depends_on):
            yield f"{resource.name} does not wait for its consumer group"


def check_everything_is_diagnosed(recording: Recording) -> Iterator[str]:
    """Every service sends its metrics and logs to the workspace."""
    diagnosed = {str(setting.inputs["resourceUri"]) for setting in of_type(recording, "monitor:DiagnosticSetting")}
    services = [r for r in recording.resources if r.type.startswith(AZURE) and _is_diagnosed(r.type.removeprefix(AZURE))]
    workspaces = {id_of(workspace) for workspace in of_type(recording, "operationalinsights:Workspace")}
    for setting in of_type(recording, "monitor:DiagnosticSetting"):
        if setting.inputs["workspaceId"] not in workspaces:
            yield f"{setting.name}: goes to a workspace that does not exist"
    for service in services:
        if id_of(service) not in diagnosed:
            yield f"{service.name}: no diagnostic setting: {DIAGNOSE}"
    for kind in () if inside_fabric(recording) else ("StreamAnalyticsJob", "blobServices"):
        if not any(kind in uri for uri in diagnosed):
            yield f"{kind}: no diagnostic setting"


def _is_diagnosed(token: str) -> bool:
    """Whether a type stands by itself, so that it has logs and metrics of its own."""
    kind = kind_of(token)
    return len(kind.names) == 1 and kind.diagnosed


def check_fabric_items_refer_to_what_is_there(recording: Recording) -> Iterator[str]:
    """Fabric takes a dashboard whose source is nowhere, and shows an error to whoever opens it."""
    items = {f"id-of-{item.name}": item for item in ours(recording, "FabricItem")}
    for item in items.values():
        inputs = item.inputs
        if inputs["type"] not in ITEM_TYPES:
            yield f"{item.name}: {inputs['type']!r} is not a type of item we deploy"
        rendered = FabricItem(inputs["type"], inputs["name"], inputs["parts"]) if inputs["type"] in ITEM_TYPES else None
        for reference in rendered.references if rendered else ():
            value = inputs["references"].get(reference.placeholder)
            if value is None:
                yield f"{item.name}: nothing is given for {reference.placeholder}"
            elif reference.type != "Workspace" and reference.wanted == "id":
                found = items.get(value)
                if found is None or (found.inputs["type"], found.inputs["name"]) != (reference.type, reference.name):
                    yield f"{item.name}: {reference.placeholder} is {value}, which is no such item"
        if str(inputs.get("creation", {}).get("parentEventhouseItemId", "")) not in {"", *items}:
            yield f"{item.name}: its eventhouse does not exist"


def check_fabric_names_are_unique(recording: Recording) -> Iterator[str]:
    """Two items of one type and name are one item to Fabric; and an eventhouse brings a database of its own name."""
    names = [(item.inputs["type"], item.inputs["name"]) for item in ours(recording, "FabricItem")]
    for (kind, name), count in Counter(names).items():
        if count > 1:
            yield f"{kind} {name}: {count} items of one name"
    for item in ours(recording, "FabricItem"):
        if item.inputs["type"] == "KQLDatabase" and item.inputs["creation"] and ("Eventhouse", item.inputs["name"]) in names:
            yield f"{item.name}: an eventhouse of its name brings a database that is in its way"


def check_shortcuts_end_in_a_container_or_table_of_ours(recording: Recording) -> Iterator[str]:
    """A shortcut to nowhere is refused in the middle of a deployment, when the lakehouse is there already."""
    for shortcut in ours(recording, "Shortcut"):
        of_kind = {"adlsGen2": _lake_faults, "oneLake": _one_lake_faults}
        ((kind, target),) = shortcut.inputs["target"].items()
        yield from (f"{shortcut.name}{fault}" for fault in of_kind[kind](recording, target, shortcut.depends_on))


def _lake_faults(recording: Recording, target: Mapping[str, str], waits_for: Iterable[str]) -> Iterator[str]:
    containers = {
        (str(container.inputs["accountName"]), str(container.inputs["containerName"]))
        for container in of_type(recording, "storage:BlobContainer")
    }
    connections = {f"id-of-{connection.name}" for connection in ours(recording, "Connection")}
    account = target["location"].removeprefix("https://").split(".")[0]
    container = target["subpath"].strip("/").split("/")[0]
    if (account, container) not in containers:
        yield f": there is no container {container} in account {account}"
    if target["connectionId"] not in connections:
        yield ": its connection does not exist"
    if not any("fabric-lake" in urn for urn in waits_for):
        yield " does not wait for the role of the workspace's identity"


def _one_lake_faults(recording: Recording, target: Mapping[str, str], waits_for: Iterable[str]) -> Iterator[str]:
    databases = {f"id-of-{item.name}" for item in ours(recording, "FabricItem") if item.inputs["type"] == "KQLDatabase"}
    if target["itemId"] not in databases:
        yield ": its database does not exist"
    if target["path"].removeprefix("Tables/") not in AVAILABLE:
        yield f": OneLake does not show {target['path']}"
    if not any(urn.endswith("::kql-schema") for urn in waits_for):
        yield " does not wait for the tables"


def check_eventstreams(recording: Recording) -> Iterator[str]:
    """The published specification, the rules of the graph, and that every row has a table and every table its columns."""
    script = "".join(str(script.inputs["script"]) for script in ours(recording, "KqlScript"))
    tables = {
        name: dict(re.findall(r"\['(\w+)'\]: (\w+)", columns))
        for name, columns in re.findall(r"\.create-merge table (\w+) \((.*?)\) with", script)
    }
    databases = {item.inputs["name"] for item in ours(recording, "FabricItem") if item.inputs["type"] == "KQLDatabase"}
    query = (REPOSITORY / "asa-queries" / "roompulse" / "roompulse.asaql").read_text(encoding="utf-8")
    for item in ours(recording, "FabricItem"):
        if item.inputs["type"] != "Eventstream":
            continue
        topology = json.loads(item.inputs["parts"]["eventstream.json"])
        for fault in eventstream_faults(topology, eventstream_specification()):
            yield f"{item.name}: {fault}"
        for operator in topology["operators"]:
            if operator["properties"].get("query") != query:
                yield f"{item.name}: the query of {operator['name']} is not the deployed file"
        for node in topology["destinations"]:
            properties = node["properties"]
            if node["type"] != "Eventhouse":
                continue
            columns = {column["name"] for schema in node["inputSchemas"] for column in schema["schema"]["columns"]}
            if properties["databaseName"] not in databases:
                yield f"{item.name}: {node['name']} goes to database {properties['databaseName']}, which does not exist"
            if tables.get(properties["tableName"], {}).keys() != columns:
                yield f"{item.name}: {node['name']} and table {properties['tableName']} have other columns"
        if not any("kql-schema" in urn for urn in item.depends_on):
            yield f"{item.name} does not wait for its tables"


def _readers_of_endpoints(recording: Recording) -> Iterator[str]:
    """The ingest sends to the one endpoint, the fan-out reads from the other."""
    endpoints = {(e.inputs["side"], f"es_{e.name}", f"cg_{e.name}") for e in ours(recording, "EventstreamEndpoint")}
    apps = {resource.name: resource for resource in of_type(recording, "web:WebApp")}
    sent = setting_of(apps["ingest-app"], "EVENTSTREAM__eventHubName")
    if ("sources", sent) not in {(side, hub) for side, hub, _ in endpoints}:
        yield f"the ingest sends to {sent}, which is no endpoint"
    for hub, group in _readers(recording):
        if ("destinations", hub, group) not in endpoints:
            yield f"somebody reads {hub} with group {group}, which is no endpoint"


@cache
def eventstream_specification() -> Specification:
    """The published one."""
    return Specification(shared_data("fabric") / "fabric-rest-api-specs" / "eventstream" / "definitions")


def check_fabric_roles(recording: Recording) -> Iterator[str]:
    """A principal has one role in a workspace, of those Fabric has; our programs need no more than to contribute."""
    seen: Counter[str] = Counter()
    for role in ours(recording, "WorkspaceRoleAssignment"):
        seen[role.inputs["principalId"]] += 1
        if role.inputs["role"] not in WORKSPACE_ROLES or role.inputs["principalType"] not in PRINCIPALS:
            yield f"{role.name}: {role.inputs['principalType']} as {role.inputs['role']} is nothing Fabric has"
        if role.inputs["principalType"] == "ServicePrincipal" and role.inputs["role"] != "Contributor":
            yield f"{role.name}: a program that is {role.inputs['role']}"
    for principal, count in seen.items():
        if count > 1:
            yield f"{principal} has {count} roles in the workspace"


CHECKS: tuple[Callable[[Recording], Iterator[str]], ...] = (
    check_everything_is_registered_once,
    check_bodies_are_what_azure_takes,
    check_no_python_name_reaches_the_wire,
    check_names_are_legal,
    check_names_follow_from_the_stack,
    check_limits_of_what_is_counted,
    check_limits_of_the_services,
    check_nothing_is_open,
    check_no_secret_is_in_plain,
    check_roles_are_exactly_those_declared,
    check_readers_have_their_hub_and_group,
    check_alerts_reach_people,
    check_destroy_and_refresh_work,
    check_silence_is_heard,
    check_every_city_has_its_settings,
    check_what_runs_waits_for_its_roles,
    check_everything_is_diagnosed,
    check_fabric_items_refer_to_what_is_there,
    check_fabric_names_are_unique,
    check_shortcuts_end_in_a_container_or_table_of_ours,
    check_eventstreams,
    check_fabric_roles,
    *PUBLISHED_CHECKS,
    *WIRING_CHECKS,
    *SETTING_CHECKS,
    *NETWORK_CHECKS,
    *ALERT_CHECKS,
    *SERVICE_CHECKS,
    *STANDING_CHECKS,
    *FABRIC_CHECKS,
)


def _keys(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}.{key}".lstrip(".")
            if key not in FREE_FORM and key != "queries":
                yield from _keys(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _keys(item, f"{path}[{index}]")


def _readers(recording: Recording) -> Iterator[tuple[str, str]]:
    """Who reads which hub with which group: the job, the data connections, the function with a trigger."""
    for connection in of_type(recording, "kusto:EventHubDataConnection"):
        yield str(connection.inputs["eventHubResourceId"]).rsplit("/", 1)[-1], connection.inputs["consumerGroup"]
    for job in recording.resources:
        if job.type.endswith(":StreamAnalyticsJob"):
            for declared in job.inputs["inputs"].values():
                properties = declared["datasource"]["properties"]
                yield properties["eventHubName"], properties["consumerGroupName"]
    app = next(resource for resource in recording.resources if resource.name == "fanout-app")
    for trigger in triggers("alert_fanout").values():
        if "eventHubName" in trigger:
            yield setting_of(app, trigger["eventHubName"].strip("%")), setting_of(app, trigger["consumerGroup"].strip("%"))


def _scope(scope: str) -> str:
    """The type and name of a scope."""
    return "/".join(scope.rsplit("/", 2)[-2:])
