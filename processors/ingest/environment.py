"""What the ingest is configured through environment variables, checked all at once, and the poller made from it.

| variable | meaning |
|---|---|
| SETTINGS_BLOB_URL | container with the settings, in pieces, entered with the managed identity AZURE_CLIENT_ID; or |
| INGEST_SETTINGS | path of the settings: a folder of pieces, or one file with everything |
| WEBEX_TOKEN_VAULT_URI | Key Vault with the secrets `webex-token-set` and `webex-client-secret`: the token is renewed there; |
| | whose turn that is, is a lease in the container of STATE_BLOB_URL. Or |
| WEBEX_TOKEN_FILE | file with the token set (mode 0600), renewed there with WEBEX_CLIENT_SECRET. Or |
| WEBEX_ACCESS_TOKEN | access token of the Webex service app, for a shell; read again when Webex refuses it |
| WEBEX_INTEGRATION_FOLDER | folder (mode 0700) of the Workspace Integration whose devices report by themselves; without it, the |
| | vault of WEBEX_TOKEN_VAULT_URI. Needed where a city has `push: true` |
| WEBEX_API_BASE | base address of the Webex API, default https://webexapis.com/v1 |
| WEBEX_STATUS_BASE | address of Webex's status page, not read where it is empty; default https://status.webex.com, or empty |
| | where WEBEX_API_BASE is set |
| EVENT_HUBS | connection string of the Event Hubs namespace (the local stand-in), or |
| EVENT_HUBS__fullyQualifiedNamespace | its host name, entered with the managed identity EVENT_HUBS__clientId |
| EVENTSTREAM | connection string (with EntityPath) of a Fabric eventstream's custom endpoint: observations go there, or |
| EVENTSTREAM__fullyQualifiedNamespace | its host name, with EVENTSTREAM__eventHubName and EVENTSTREAM__clientId |
| STATE_BLOB_URL | container for the state: https://ACCOUNT.blob.core.windows.net/CONTAINER, entered with the managed identity |
| | AZURE_CLIENT_ID; several instances may share it. Or |
| STATE_FOLDER | folder for ingest.sqlite |
| WEBEX_ORGANISATION | slug of a partner's organisation: its cities are polled, with its tokens and a state of its own; without |
| | it, the stack's own. A function app polls all that its settings name, and sets it for each by itself |
| NAME__SLUG | what NAME is for the organisation SLUG, such as WEBEX_TOKEN_FILE__contoso |
| OTEL_EXPORTER_OTLP_ENDPOINT | where metrics, traces and the log go, OTLP over HTTP; or |
| APPLICATIONINSIGHTS_CONNECTION_STRING | the same, to Application Insights; without either they go nowhere |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processors.azure_blobs import BlobContainer, fault_of_container_url
from processors.contracts.validation import INGEST_SETTINGS
from processors.ingest.poll import Poller
from processors.ingest.poll_telemetry import telemetry_from
from processors.ingest.push.coverage import Coverage
from processors.ingest.push.home import home_from
from processors.ingest.push.listener import Listener
from processors.ingest.push.trust import Trust
from processors.ingest.settings import IngestSettings, ingest_settings_of, organisations_in
from processors.ingest.sinks import EventHubsSink, Sink, destination_faults
from processors.ingest.sqlite_state import SqliteState
from processors.ingest.state import IngestState
from processors.ingest.token_stores import SERVICE_APP_SECRETS, FileTokenStore, VaultTokenStore
from processors.ingest.tokens import ServiceAppToken
from processors.ingest.webex_client import TokenError, TokenSource, WebexClient, can_be_sent
from processors.ingest.webex_status import WEBEX_STATUS, WebexStatus
from processors.settings_source import Settings, settings_from

ORGANISATION = "WEBEX_ORGANISATION"
WEBEX_API = "https://webexapis.com/v1"
STATE_FILE = "ingest.sqlite"
"""In STATE_FOLDER."""


class EnvironmentFault(Exception):
    """Environment variables are missing or wrong. The text names each one and what it should hold."""


class EnvironmentToken:
    """The access token as WEBEX_ACCESS_TOKEN holds it; the platform may put a newer one there at any time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def token(self) -> str:
        """See TokenSource."""
        token = self._environment["WEBEX_ACCESS_TOKEN"].strip()
        if not can_be_sent(token):
            raise TokenError("WEBEX_ACCESS_TOKEN has characters that no token has, such as a space or a quote: copy it anew.")
        return token

    def renew(self, rejected: str) -> str:
        """See TokenSource."""
        token = self.token()
        if token == rejected:
            raise TokenError("Webex refused the access token: put a valid one into WEBEX_ACCESS_TOKEN.")
        return token


def of_organisation(environment: Mapping[str, str], organisation: str) -> dict[str, str]:
    """The environment as it is for one organisation: empty for the stack's own."""
    ending = f"__{organisation}"
    own = {name.removesuffix(ending): value for name, value in environment.items() if organisation and name.endswith(ending)}
    return {**environment, **own, ORGANISATION: organisation}


def faults_of(environment: Mapping[str, str], *, event_hubs: bool, state: bool) -> list[str]:
    """What is wrong with the environment; `event_hubs` and `state` say whether those variables are needed."""
    faults = []
    if not (environment.get("SETTINGS_BLOB_URL") or environment.get("INGEST_SETTINGS")):
        faults.append("INGEST_SETTINGS is not set: the path of the ingest's settings (or give --settings).")
    faults += _token_faults(environment)
    if not environment.get("WEBEX_API_BASE", WEBEX_API).startswith(("http://", "https://")):
        faults.append(f"WEBEX_API_BASE is not a http or https address; leave it out to use {WEBEX_API}.")
    if not (environment.get("WEBEX_STATUS_BASE") or WEBEX_STATUS).startswith(("http://", "https://")):
        faults.append(f"WEBEX_STATUS_BASE is not an http or https address; leave it out to use {WEBEX_STATUS}.")
    if event_hubs:
        faults += destination_faults(environment)
    if state and not (environment.get("STATE_FOLDER") or environment.get("STATE_BLOB_URL")):
        faults.append(
            "STATE_FOLDER is not set: a folder where the ingest may keep its state; or STATE_BLOB_URL, a container for it."
        )
    container = environment.get("STATE_BLOB_URL")
    if container and (fault := fault_of_container_url(container)):
        faults.append(f"STATE_BLOB_URL: {fault}")
    return faults


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings of the function app, which may change while it runs. Raises EnvironmentFault, SettingsError."""
    faults = faults_of(environment, event_hubs=True, state=True)
    if faults:
        raise EnvironmentFault("\n".join(faults))
    return settings_from(environment, "INGEST_SETTINGS", INGEST_SETTINGS)


def ingest_settings_from(environment: Mapping[str, str]) -> IngestSettings:
    """The settings as they are now, for a shell. Raises SettingsError."""
    return ingest_settings_of(_document(environment), environment.get(ORGANISATION, ""))


def organisations_of_settings(environment: Mapping[str, str]) -> list[str]:
    """The organisations that the settings name, as slugs; empty for the stack's own. Raises SettingsError."""
    return organisations_in(_document(environment))


def _document(environment: Mapping[str, str]) -> dict[str, Any]:
    return settings_from(environment, "INGEST_SETTINGS", INGEST_SETTINGS).document()


def poller_from(environment: Mapping[str, str], settings: Settings, listener: Listener | None = None) -> Poller:
    """The poller as the function app runs it, with the settings as they are now. Raises SettingsError, StateError."""
    own = ingest_settings_of(settings.document(), environment.get(ORGANISATION, ""))
    return make_poller(environment, own, EventHubsSink(environment), listener)


def listener_from(environment: Mapping[str, str]) -> Listener | None:
    """What listens to the integration that the environment names, for every poller of this process; None where it names none."""
    trust = Trust(environment.get("WEBEX_API_BASE", WEBEX_API))
    home = home_from(environment, trust)
    return Listener(home, trust, Coverage()) if home else None


def make_poller(environment: Mapping[str, str], settings: IngestSettings, sink: Sink, listener: Listener | None = None) -> Poller:
    """A poller of the Webex API the environment names; without a home for its state it remembers nothing beyond its own life."""
    state = state_from(environment)
    tokens = token_source(environment)
    client = WebexClient(environment.get("WEBEX_API_BASE", WEBEX_API), tokens, settings.rates)
    lives = tokens.lives if isinstance(tokens, ServiceAppToken) else None
    telemetry, status = telemetry_from(environment, lives), webex_status_from(environment)
    return Poller(settings, client, sink, state, telemetry, status, listener, lives)


def webex_status_from(environment: Mapping[str, str]) -> WebexStatus | None:
    """Webex's status page, where it is to be read."""
    default = "" if "WEBEX_API_BASE" in environment else WEBEX_STATUS
    base = environment.get("WEBEX_STATUS_BASE", default)
    return WebexStatus(base) if base else None


def state_from(environment: Mapping[str, str]) -> IngestState:
    """The state in the home the environment names: a blob, a file, else memory. Raises StateError."""
    if environment.get("STATE_BLOB_URL"):
        from processors.ingest.blob_state import BlobState  # 120 ms: not while a function app starts

        return BlobState(state_container(environment))
    if environment.get("STATE_FOLDER"):
        return SqliteState(state_file(environment))
    return IngestState()


def state_container(environment: Mapping[str, str]) -> BlobContainer:
    """Where blobs of the state are: a partner's in a folder of its own. Raises BlobError."""
    return BlobContainer(environment["STATE_BLOB_URL"], environment, folder=environment.get(ORGANISATION, ""))


def state_file(environment: Mapping[str, str]) -> Path:
    """The file of the state: a partner's in a folder of its own."""
    return Path(environment["STATE_FOLDER"]) / environment.get(ORGANISATION, "") / STATE_FILE


def token_source(environment: Mapping[str, str]) -> TokenSource:
    """Where access tokens come from, as the environment says; nothing is read yet."""
    base = environment.get("WEBEX_API_BASE", WEBEX_API)
    if vault := environment.get("WEBEX_TOKEN_VAULT_URI"):
        names = SERVICE_APP_SECRETS.of(environment.get(ORGANISATION, ""))
        store = VaultTokenStore(vault, state_container(environment), environment, names=names)
        return ServiceAppToken(store, token_url_of(base))
    if path := environment.get("WEBEX_TOKEN_FILE"):
        return ServiceAppToken(FileTokenStore(Path(path), environment), token_url_of(base))
    return EnvironmentToken(environment)


def token_url_of(api_base: str) -> str:
    """Where a service app's tokens are renewed; that of an integration is in its activation code."""
    return f"{api_base.rstrip('/')}/access_token"


def _token_faults(environment: Mapping[str, str]) -> list[str]:
    if vault := environment.get("WEBEX_TOKEN_VAULT_URI"):
        faults = []
        if not vault.startswith("https://") and not vault.startswith("http://127.0.0.1"):
            faults.append(
                f"WEBEX_TOKEN_VAULT_URI is not an address of a Key Vault: {vault!r}; https://NAME.vault.azure.net is one."
            )
        if not environment.get("STATE_BLOB_URL"):
            faults.append("STATE_BLOB_URL is not set: with WEBEX_TOKEN_VAULT_URI, instances agree there on who renews the token.")
        return faults
    if environment.get("WEBEX_TOKEN_FILE"):
        missing = "WEBEX_CLIENT_SECRET is not set: the service app's client secret, to renew the token in WEBEX_TOKEN_FILE with."
        return [] if environment.get("WEBEX_CLIENT_SECRET") else [missing]
    if not environment.get("WEBEX_ACCESS_TOKEN"):
        return [
            "WEBEX_ACCESS_TOKEN is not set: an access token of your Webex service app; or set WEBEX_TOKEN_FILE or "
            "WEBEX_TOKEN_VAULT_URI, where a token set is kept and renewed."
        ]
    return []
