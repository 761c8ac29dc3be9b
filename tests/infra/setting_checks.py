"""Checks of the settings of an app: each leads to what the stack has, and none that its program reads is missing.

A wrong address is a poll that fails a minute after a deployment that went well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from infra.offline import Recording
from infra.policies.rules import at
from tests.infra.recorded import inside_fabric, of_type

SIX_FIELDS = r"(\S+ ){5}\S+"
"""What Functions take as a schedule: seconds first."""
SECRETS = re.compile(
    r"SharedAccessKey|AccountKey=|[?&;]sig=|-----BEGIN|webhook\.office\.com|hooks\.slack\.com|logic\.azure\.com.*sp=|"
    r"\b(?:password|client_secret|refresh_token)\b",
    re.IGNORECASE,
)
"""How a key looks, or an address that is as good as one."""
Wanted = Mapping[str, str]
"""Patterns of whole values by the names of settings."""


def check_settings_lead_to_what_is_there(recording: Recording) -> Iterator[str]:
    """Identity, account, vault, hubs and collection rule of an app are its own or the stack's."""
    for app in of_type(recording, "web:WebApp"):
        settings = {one["name"]: str(one["value"]) for one in at(app.inputs, "siteConfig.appSettings")}
        processor = app.name.removesuffix("-app")
        for name, pattern in {**_of_every_app(recording, processor), **OWN[processor](recording)}.items():
            if name not in settings:
                yield f"{app.name}: setting {name} is missing"
            elif not re.fullmatch(pattern, settings[name]):
                yield f"{app.name}: setting {name} is {settings[name]}, which leads nowhere"


def check_settings_hold_no_secret(recording: Recording) -> Iterator[str]:
    """Whoever may look at an app reads its settings."""
    for app in of_type(recording, "web:WebApp"):
        for setting in at(app.inputs, "siteConfig.appSettings"):
            if SECRETS.search(str(setting["value"])):
                yield f"{app.name}: setting {setting['name']} holds a key"


def _of_every_app(recording: Recording, processor: str) -> dict[str, str]:
    client = re.escape(f"client of {processor}-identity")
    account = _name(recording, "storage:StorageAccount", f"{processor}-storage", "accountName")
    blobs = rf"https://{account}\.blob\.core\.windows\.net"
    return {
        "AzureWebJobsStorage__accountName": account,
        "AzureWebJobsStorage__credential": "managedidentity",
        "AzureWebJobsStorage__clientId": client,
        "AZURE_CLIENT_ID": client,
        "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=.+",
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": f"ClientId={client};Authorization=AAD",
        "PYTHON_ENABLE_OPENTELEMETRY": "true",
        "SETTINGS_BLOB_URL": f"{blobs}/settings",
        "STATE_BLOB_URL": f"{blobs}/state",
        "STATE_FOLDER": "/tmp/.+",  # the only place where an instance may write
    }


def _of_the_ingest(recording: Recording) -> dict[str, str]:
    return {
        "WEBEX_TOKEN_VAULT_URI": _vault(recording),
        "POLL_SCHEDULE": SIX_FIELDS,
        **(_eventstream("ingest") if inside_fabric(recording) else _event_hubs(recording, "ingest")),
    }


def _of_the_fanout(recording: Recording) -> dict[str, str]:
    (rule,) = of_type(recording, "monitor:DataCollectionRule")
    return {
        "SECRETS_VAULT_URI": _vault(recording),
        "TEND_SCHEDULE": SIX_FIELDS,
        "ALERT_LOG_ENDPOINT": r"https://[\w.-]+\.ingest\.monitor\.azure\.com",
        "ALERT_LOG_COLLECTION": "dcr-[0-9a-f]{32}",
        "ALERT_LOG_STREAM": "|".join(map(re.escape, rule.inputs["streamDeclarations"])),
        "ALERT_LOG_CLIENT_ID": re.escape("client of fanout-identity"),
        "INCIDENTS_HUB": "es_.+" if inside_fabric(recording) else _hubs(recording, "incidents"),
        **_event_hubs(recording, "fanout"),
    }


OWN: Mapping[str, Callable[[Recording], Wanted]] = {"ingest": _of_the_ingest, "fanout": _of_the_fanout}


def _event_hubs(recording: Recording, processor: str) -> dict[str, str]:
    namespace = next((one.inputs["namespaceName"] for one in of_type(recording, "eventhub:Namespace")), r"[\w-]+")
    return {
        "EVENT_HUBS__fullyQualifiedNamespace": rf"{namespace}\.servicebus\.windows\.net",
        "EVENT_HUBS__credential": "managedidentity",
        "EVENT_HUBS__clientId": re.escape(f"client of {processor}-identity"),
    }


def _eventstream(processor: str) -> dict[str, str]:
    return {
        "EVENTSTREAM__fullyQualifiedNamespace": r"[\w-]+\.servicebus\.windows\.net",
        "EVENTSTREAM__eventHubName": "es_.+",
        "EVENTSTREAM__clientId": re.escape(f"client of {processor}-identity"),
    }


def _hubs(recording: Recording, wanted: str) -> str:
    return "|".join(hub.inputs["eventHubName"] for hub in of_type(recording, "eventhub:EventHub") if hub.name == wanted)


def _vault(recording: Recording) -> str:
    return rf"https://{_name(recording, 'keyvault:Vault', 'key-vault', 'vaultName')}\.vault\.azure\.net/?"


def _name(recording: Recording, token: str, name: str, key: str) -> str:
    """A resource's name in Azure; what no name fits where there is no such resource."""
    return next((re.escape(str(one.inputs.get(key))) for one in of_type(recording, token) if one.name == name), r"(?!)")


SETTING_CHECKS: tuple[Callable[[Recording], Iterator[str]], ...] = (
    check_settings_lead_to_what_is_there,
    check_settings_hold_no_secret,
)
