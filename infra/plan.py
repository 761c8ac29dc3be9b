"""What a stack's deployment would consist of, without Pulumi's engine, an account or a network: `plan`, as data.

The program itself is evaluated (infra/offline.py), so the plan can't say anything the deployment does not do. How it reads is in
infra/plan_text.py, how two differ in infra/plan_difference.py. `python -m infra.plan STACK` prints it as JSON.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pulumi

from activator.declarations import DeclarationError, Fault
from activator.rules import Override, Rule, load_rules
from infra.azure.function_app import HEALTH_PATH, HOOKS
from infra.azure.roles import declared_roles
from infra.azure.vault import WebexSecrets
from infra.offline import OURS, Recording, Registration, evaluate
from infra.packaging import REPOSITORY, package_path
from infra.parts import kind_of, part_of
from infra.program import deploy, sized
from infra.settings.contacts import Contact
from infra.settings.report_reading import PageReading, report_reading
from infra.settings.sizing import Need, size
from infra.settings.stack import City, StackSettings, load_stack

LONG = 400
"""Longer texts (queries, scripts) are not shown: of them a plan has a hash, by which it shows that one has changed."""
TEXT = re.compile(r"<text [0-9a-f]{12}>")
"""How such a text stands in a plan."""
HASHED = frozenset({"content"})
"""Nor are these, however short: settings of the processors hold addresses of people and of webhooks."""
UNREPORTED = frozenset({
    "__provider", "packagePath", "subscriptionId", "tenantId", "roleAssignmentName", "parts", "scriptContent",
})  # fmt: skip
"""Properties that say nothing about the deployment, or (parts of an item, a script) what their own hash says shorter."""


class PlanError(Exception):
    """A plan can't be made. The text says what is missing and the next step."""


@dataclass(frozen=True)
class PlannedResource:
    """A resource: its logical name, its type without the provider, and its properties by dotted path.

    Where a property holds the names of organisation and stack, it says <organisation> and <stack>, so that stacks compare.
    """

    name: str
    type: str
    protected: bool
    properties: dict[str, Any]


@dataclass(frozen=True)
class Service:
    """The resources of one part of the program; `city` is a slug for a city's own part."""

    title: str
    city: str | None
    resources: tuple[PlannedResource, ...]


@dataclass(frozen=True)
class Grant:
    """A role of an identity, and what it holds on."""

    identity: str
    role: str
    on: str


@dataclass(frozen=True)
class PlannedCity:
    """A city as people talk about it; `people` and `overrides` are texts, `locations` names or ids of Webex."""

    slug: str
    devices: int
    locations: tuple[str, ...]
    people: tuple[str, ...]
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A deployment, ready to be read, compared and kept as JSON."""

    stack: str
    location: str
    route: str
    cities: tuple[PlannedCity, ...]
    devices: int
    poll_seconds: int
    observations_per_second: float
    snapshot_per_second: float
    webex_requests: int
    needs: tuple[Need, ...]
    services: tuple[Service, ...]
    grants: tuple[Grant, ...]
    public: tuple[str, ...]
    keys: tuple[str, ...]
    organisation: str = ""
    pages: tuple[PageReading, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The plan as JSON-serialisable data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """A plan that `as_json` wrote."""
        services = tuple(
            Service(part["title"], part["city"], tuple(PlannedResource(**resource) for resource in part["resources"]))
            for part in data["services"]
        )
        cities = tuple(
            PlannedCity(city["slug"], city["devices"], *(tuple(city[name]) for name in ("locations", "people", "overrides")))
            for city in data["cities"]
        )
        needs, grants = tuple(Need(**need) for need in data["needs"]), tuple(Grant(**grant) for grant in data["grants"])
        pages = tuple(PageReading(**page) for page in data.get("pages", ()))
        lists = {"pages": pages, "cities": cities, "needs": needs, "grants": grants, "services": services}
        return cls(**{"route": "azure", **data, **lists, "public": tuple(data["public"]), "keys": tuple(data["keys"])})


def plan(stack: str) -> Plan:
    """The plan of `Pulumi.<stack>.yaml`; raises DeclarationError with every fault of the file, or when it carries too little."""
    rules = load_rules()
    return plan_of(load_stack(REPOSITORY / f"Pulumi.{stack}.yaml", rules), rules)


def plan_of(stack: StackSettings, rules: Sequence[Rule]) -> Plan:
    """The plan of some settings; raises DeclarationError when they can't be deployed."""
    azure, sizing = sized(stack), size(stack)
    recording = recorded(stack, rules)
    return Plan(
        stack=stack.stack,
        location=azure.location,
        route=azure.route,
        cities=tuple(_city(city) for city in sorted(stack.cities, key=lambda city: city.slug)),
        devices=sizing.load.devices,
        poll_seconds=stack.poll.seconds,
        observations_per_second=round(sizing.load.steady, 1),
        snapshot_per_second=round(sizing.load.snapshot, 1),
        webex_requests=sizing.load.webex_requests,
        needs=sizing.needs,
        services=tuple(_services(recording, azure.organisation, stack.stack)),
        grants=tuple(_grants(recording)),
        public=tuple(_public(recording)),
        keys=tuple(sorted(_keys(recording))),
        organisation=azure.organisation,
        pages=report_reading(stack, sizing.load),
    )


def plan_against(stack: str, other: str) -> Plan:
    """What to hold the plan of `stack` against: the stack `other`, or else `stack` itself at the git revision `other`.

    Raises PlanError when there is neither, DeclarationError when the other stack can't be deployed.
    """
    return plan(other) if (REPOSITORY / f"Pulumi.{other}.yaml").is_file() else _plan_at(stack, other)


def _plan_at(stack: str, revision: str) -> Plan:
    archive = subprocess.run(["git", "archive", "--format=zip", revision], cwd=REPOSITORY, capture_output=True, check=False)
    if archive.returncode != 0:
        raise PlanError(f"{revision} is neither a stack nor a git revision: {archive.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory() as folder:
        with ZipFile(BytesIO(archive.stdout)) as files:
            files.extractall(folder)
        if not (Path(folder) / "infra" / "plan.py").is_file():
            raise PlanError(f"{revision} is from before there were plans: compare with a later revision.")
        result = subprocess.run(
            [sys.executable, "-m", "infra.plan", stack], cwd=folder, capture_output=True, text=True, check=False
        )
    if result.returncode != 0:
        *_, why = f"it ended with {result.returncode}\n{result.stderr}".strip().splitlines()
        raise PlanError(f"Stack {stack} can't be planned at {revision}: {why}")
    return Plan.from_json(json.loads(result.stdout))


def _city(city: City) -> PlannedCity:
    return PlannedCity(
        slug=city.slug,
        devices=city.devices,
        locations=city.webex_locations,
        people=tuple(_person(contact) for contact in city.contacts),
        overrides=tuple(_override(override) for override in city.overrides),
    )


def _person(contact: Contact) -> str:
    return f"{contact.label} ({contact.terms})" if contact.terms else contact.label


def _override(override: Override) -> str:
    changes = {"threshold {:g}": override.threshold, "for {} s": override.for_seconds, "severity {}": override.severity}
    reported = [text.format(value) for text, value in changes.items() if value is not None] + ["muted"] * override.mute
    return f"{override.rule_id}: {', '.join(reported)} until {override.until} ({override.because})"


def recorded(stack: StackSettings, rules: Sequence[Rule]) -> Recording:
    """What the program registers for a stack today."""
    today = datetime.now(UTC).date().isoformat()

    def program() -> None:
        deploy(
            stack,
            rules,
            today=today,
            webex=WebexSecrets(pulumi.Output.secret(""), pulumi.Output.secret("")),
            package_for=lambda content: package_path(content, REPOSITORY / "output" / "packages"),
        )

    return evaluate(program, stack=stack.stack)


def _services(recording: Recording, organisation: str, stack: str) -> Iterator[Service]:
    """Parts in the order in which the program makes the first of a class; those of one class by name."""
    registered = {registration.urn: registration for registration in recording.registrations}
    parts: dict[str, list[Registration]] = {}
    for resource in recording.resources:
        parts.setdefault(_top(resource, registered).urn, []).append(resource)
    own_names = re.compile(f"{organisation}(-?){stack}")
    order = list(dict.fromkeys(registration.type for registration in recording.registrations))
    for component in sorted((registered[urn] for urn in parts), key=lambda one: (order.index(one.type), one.name)):
        part = part_of(component.type)
        planned = [_planned(resource, own_names, stack) for resource in parts[component.urn]]
        for type_ in {resource.type for resource in planned}:
            kind_of(type_, part)
        resources = tuple(sorted(planned, key=lambda resource: (resource.type, resource.name)))
        yield Service(part.title.format(name=component.name), component.name if part.of_city else None, resources)


def _top(resource: Registration, registered: Mapping[str, Registration]) -> Registration:
    """The component of the program a resource belongs to."""
    while resource.parent in registered:
        resource = registered[resource.parent]
    return resource


def _planned(resource: Registration, own_names: re.Pattern[str], stack: str) -> PlannedResource:
    properties = {
        path: _reported(value, own_names, longest=0 if path in HASHED else LONG)
        for path, value in _flat(resource.inputs)
        if path.split(".", 1)[0] not in UNREPORTED and value not in (None, "", [], {})
    }
    if properties.get("tags.stack") == stack:
        properties["tags.stack"] = "<stack>"
    for path in resource.secrets:
        properties = {name: value for name, value in properties.items() if not name.startswith(path)} | {path: "<secret>"}
    kind = resource.type.removeprefix("azure-native:").removeprefix(OURS)
    return PlannedResource(resource.name, kind, resource.protect, dict(sorted(properties.items())))


def _reported(value: Any, own_names: re.Pattern[str], longest: int = LONG) -> Any:
    if isinstance(value, list):
        return [_reported(item, own_names, longest) for item in value]
    if not isinstance(value, str):
        return value
    text = own_names.sub(r"<organisation>\1<stack>", value)
    return f"<text {sha256(text.encode()).hexdigest()[:12]}>" if len(value) > longest else text


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            named = item.get("name", index) if isinstance(item, Mapping) else index
            yield from _flat(item, f"{path}[{named}]")
    else:
        yield path, value


def _of(recording: Recording, token: str) -> list[Registration]:
    return [resource for resource in recording.resources if resource.type == f"azure-native:{token}"]


def _grants(recording: Recording) -> Iterator[Grant]:
    names = declared_roles()
    found = []
    for assignment in _of(recording, "authorization:RoleAssignment"):
        identity, _, on = assignment.name.partition("-")
        found.append(Grant(identity, names[str(assignment.inputs["roleDefinitionId"]).rsplit("/", 1)[-1]], on))
    for reader in _of(recording, "kusto:DatabasePrincipalAssignment"):
        found.append(Grant(reader.name.removeprefix("reader-"), f"Kusto {reader.inputs['role']}", "live-store database"))
    for role in recording.resources:
        if role.type == f"{OURS}WorkspaceRoleAssignment":
            people = role.inputs["principalType"] == "Group"
            who, on = ("group", f"workspace ({role.inputs['principalId']})") if people else (_who(role), "workspace")
            found.append(Grant(who, f"Fabric {role.inputs['role']}", on))
    yield from sorted(found, key=lambda grant: (grant.identity, grant.role, grant.on))


def _who(role: Registration) -> str:
    return role.name.removeprefix("workspace-")


def _public(recording: Recording) -> Iterator[str]:
    """What answers from the internet, and who gets in."""
    for app in sorted(_of(recording, "web:WebApp"), key=lambda app: app.name):
        yield f"{app.name}: {HEALTH_PATH}, open to all, shows the hash of its content; publishing with Entra tokens only"
        if app.name == "fanout-app":
            signed_in = any(one.inputs["name"] == app.inputs["name"] for one in _of(recording, "web:WebAppAuthSettingsV2"))
            yield f"{app.name}: {', '.join(HOOKS)}, open to all, take only what is signed with a secret that the stack names"
            yield f"{app.name}: /incidents, {'to people whom Entra has signed in' if signed_in else 'which is off'}"
    for token, words in (
        ("eventhub:Namespace", "Event Hubs"),
        ("storage:StorageAccount", "storage"),
        ("keyvault:Vault", "Key Vault"),
        ("kusto:Cluster", "Data Explorer"),
        ("monitor:DataCollectionEndpoint", "log ingestion"),
    ):
        names = ", ".join(sorted(resource.name for resource in _of(recording, token) if _answers_all(resource)))
        if names:
            yield f"{words} ({names}): with Entra tokens only"
    if workspaces := _of_ours(recording, "Workspace"):
        yield f"Fabric ({', '.join(str(workspace.inputs['name']) for workspace in workspaces)}): with Entra tokens"


def _of_ours(recording: Recording, kind: str) -> list[Registration]:
    return [resource for resource in recording.resources if resource.type == OURS + kind]


def _answers_all(resource: Registration) -> bool:
    inputs = {**resource.inputs, **(resource.inputs.get("properties") or {})}
    return inputs.get("publicNetworkAccess") != "Disabled"


def _keys(recording: Recording) -> Iterator[str]:
    """Where a key or a password would still open something."""
    refused = {
        "eventhub:Namespace": ("disableLocalAuth", True),
        "applicationinsights:Component": ("disableLocalAuth", True),
        "storage:StorageAccount": ("allowSharedKeyAccess", False),
        "web:WebAppScmAllowed": ("allow", False),
        "web:WebAppFtpAllowed": ("allow", False),
    }
    for token, (name, value) in refused.items():
        for resource in _of(recording, token):
            if resource.inputs.get(name) is not value:
                yield f"{resource.name} takes keys: {name} is {resource.inputs.get(name)}"
    for endpoint in _of_ours(recording, "EventstreamEndpoint"):
        yield f"{endpoint.name}: Fabric makes keys for it and can't do without; nothing here asks for them or keeps them"


def main(arguments: Sequence[str]) -> int:
    """Print the plan of the named stack as JSON; a fault goes to standard error."""
    try:
        if len(arguments) != 1:
            raise DeclarationError("python -m infra.plan wants one stack", [Fault("arguments", "write a name such as dev.")])
        json.dump(plan(arguments[0]).as_json(), sys.stdout, indent=1, ensure_ascii=False)
    except DeclarationError as fault:
        print(fault, file=sys.stderr)  # noqa: T201 - a command's own output
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
