"""A processor as a function app on Flex Consumption: its own identity, its own storage, no keys, its code published with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_azure_native import storage, web

from infra.azure.network import BLOB, Network, storage_access
from infra.azure.observability import Observability
from infra.azure.resource_group import ResourceGroup
from infra.azure.roles import Identity, Role
from infra.meters import HOURS, ByUse, Meter, Purchase, free
from infra.packaging import PYTHON_VERSION
from infra.parts import Kind, Part
from infra.providers.blob_file import BlobFile
from infra.providers.function_package import FunctionPackage
from infra.settings.deployment import IncidentPages
from infra.settings.processor_settings import Piece

STATE_FOLDER = "/tmp/roompulse"
"""Lives as long as the instance. Losing it repeats a full snapshot or a delivery, under the same ids."""
INSTANCE_MEMORY_MB = 2048
SMALLEST_MAXIMUM = 40
"""Flex Consumption takes no lower limit of instances."""
ASSERTION_SETTING = "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID"
"""The app setting with the managed identity that stands for a client secret (App Service: "Use a managed identity instead of a
secret")."""
HEALTH_PATH = "/api/health"
"""Which content runs, the deployment asks without signing in (processors/deployed_content.py)."""
HOOKS = ("/hooks/control-hub", "/hooks/pagerduty", "/hooks/servicenow")
"""Services come here, who can't sign in: what they send is signed (processors/alert_fanout/inbound.py)."""
BLOB_OWNER = Role("Storage Blob Data Owner", "b7e6dc6d-f1e8-4753-8033-0f276bb0955b")


@dataclass(frozen=True)
class Code:
    """A package: its path relative to the repository, and its content hash."""

    path: str
    sha256: str


def _always_ready(name: str, properties: Mapping[str, Any]) -> Iterator[Purchase]:
    scale = "functionAppConfig.scaleAndConcurrency."
    ready = sum(count for path, count in properties.items() if path.startswith(scale) and path.endswith("instanceCount"))
    gigabytes = properties[f"{scale}instanceMemoryMB"] / 1024
    meter = Meter("Functions", "Always Ready Baseline", "1 GB Second", "Flex Consumption")
    because = f"{ready} x {gigabytes:g} GB x {HOURS} h"
    yield Purchase(f"Always ready: {name}", meter, ready * gigabytes * HOURS * 3600, because)


def _sign_in_settings(identity: Identity) -> dict[str, Input[str]]:
    return {"INCIDENT_PAGES": "entra", ASSERTION_SETTING: identity.client_id}


class FunctionApp(Part):
    """One app. `function` is the one that must never be cold; `settings` are the app's own environment variables; `pieces` what
    its processor is given, each in a blob, so one can change alone. The piece of a city belongs to the component in `cities`.

    `sign_in` is who signs people in to its pages, where it has any; `waits_for` is what has to exist before it can
    reach the services it uses.
    """

    title = "Function {name}"
    resources: ClassVar = {
        "web:AppServicePlan": Kind("plan", free, named="name", diagnosed=False),
        "web:WebApp": Kind(
            "app", _always_ready,
            ByUse("Function executions", "by how long they run, beside the always-ready instances above"),
            named="name",
        ),
        "web:WebAppScmAllowed": Kind("publishing rule", free, named="name", diagnosed=False),
        "web:WebAppFtpAllowed": Kind("publishing rule", free, named="name", diagnosed=False),
        "web:WebAppAuthSettingsV2": Kind("sign-in", free, named="name", diagnosed=False),
        "FunctionPackage": Kind("package", free),
        "BlobFile": Kind("settings file", free),
    }  # fmt: skip

    def __init__(
        self,
        processor: str,
        group: ResourceGroup,
        observability: Observability,
        *,
        function: str,
        code: Code,
        pieces: Sequence[Piece],
        cities: Mapping[str, pulumi.Resource],
        identity: Identity,
        settings: Mapping[str, Input[str]],
        network: Network | None,
        waits_for: Sequence[pulumi.Resource],
        sign_in: IncidentPages | None = None,
    ) -> None:
        super().__init__(processor)
        self._processor, self._group, self._identity = processor, group, identity
        account = self._storage(network)
        packages, given, remembered = (self._container(account, use) for use in ("packages", "settings", "state"))
        reachable = [*waits_for]
        if network:
            reachable.append(network.connect(f"{processor}-storage", account.id, "blob", [BLOB], account))
        identity.may(BLOB_OWNER, "storage", account.id)
        observability.let_report(identity)
        plan = web.AppServicePlan(
            f"{processor}-plan",
            name=group.names.plain("plan", processor),
            kind="functionapp",
            reserved=True,
            sku={"name": "FC1", "tier": "FlexConsumption"},
            zone_redundant=group.azure.zones or None,
            **group.placed,
            opts=ResourceOptions(parent=self),
        )
        environment = {
            "AzureWebJobsStorage__accountName": account.name,
            "AzureWebJobsStorage__credential": "managedidentity",
            "AzureWebJobsStorage__clientId": identity.client_id,
            "APPLICATIONINSIGHTS_CONNECTION_STRING": observability.insights_connection,
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": Output.concat("ClientId=", identity.client_id, ";Authorization=AAD"),
            # Our code exports its log itself, with the fields of its lines: the worker must not hand them to the host as well.
            "PYTHON_ENABLE_OPENTELEMETRY": "true",
            # What the Azure libraries in our own code log in as, where several identities may be assigned.
            "AZURE_CLIENT_ID": identity.client_id,
            "SETTINGS_BLOB_URL": Output.concat(account.primary_endpoints.blob, given.name),
            "STATE_BLOB_URL": Output.concat(account.primary_endpoints.blob, remembered.name),
            "STATE_FOLDER": STATE_FOLDER,
            **settings,
            **(_sign_in_settings(identity) if sign_in else {}),
        }
        app = web.WebApp(
            f"{processor}-app",
            name=group.names.plain("func", processor),
            kind="functionapp,linux",
            server_farm_id=plan.id,
            https_only=True,
            public_network_access="Enabled",
            identity={"type": "UserAssigned", "user_assigned_identities": [identity.id]},
            key_vault_reference_identity=identity.id,
            virtual_network_subnet_id=network.subnet(processor) if network else None,
            function_app_config={
                "deployment": {
                    "storage": {
                        "type": "blobContainer",
                        "value": Output.concat(account.primary_endpoints.blob, packages.name),
                        "authentication": {
                            "type": "UserAssignedIdentity",
                            "user_assigned_identity_resource_id": identity.id,
                        },
                    }
                },
                "runtime": {"name": "python", "version": PYTHON_VERSION},
                "scale_and_concurrency": {
                    "instance_memory_mb": INSTANCE_MEMORY_MB,
                    "maximum_instance_count": SMALLEST_MAXIMUM,
                    "always_ready": [{"name": f"function:{function}", "instance_count": 2 if group.azure.zones else 1}],
                },
            },
            site_config={
                "min_tls_version": "1.2",
                "ftps_state": "Disabled",
                "app_settings": [{"name": name, "value": value} for name, value in environment.items()],
            },
            **group.placed,
            opts=ResourceOptions(parent=self, depends_on=[*identity.roles, *reachable]),
        )
        self._refuse_passwords(app)
        # Code comes after it: until then nothing answers that would trust what a sign-in says.
        signs_in = [self._sign_in(app, sign_in)] if sign_in else []
        # Logs go to Application Insights, which keeps them in the same workspace: the platform's copy would double them.
        observability.diagnose(processor, app.id, app, logs=False)
        # Settings first: what runs keeps the ones it has when it can't read new ones, and new code starts with its own.
        files = [self._file(piece, cities, account, given, reachable) for piece in pieces]
        self.published: pulumi.Resource = FunctionPackage(
            f"{processor}-package",
            app.name,
            code.path,
            code.sha256,
            ResourceOptions(parent=app, depends_on=[*identity.roles, *files, *signs_in]),
        )
        self.name: Output[str] = app.name
        self.address: Output[str] = Output.concat("https://", app.default_host_name)
        self.register_outputs({})

    def _file(
        self,
        piece: Piece,
        cities: Mapping[str, pulumi.Resource],
        account: storage.StorageAccount,
        container: storage.BlobContainer,
        reachable: Sequence[pulumi.Resource],
    ) -> BlobFile:
        about = f"city-{piece.city}" if piece.city else "common"
        return BlobFile(
            f"{self._processor}-settings-{about}",
            Output.concat(account.primary_endpoints.blob, container.name),
            piece.path,
            piece.text,
            ResourceOptions(parent=cities[piece.city] if piece.city else container, depends_on=[container, *reachable]),
        )

    def _storage(self, network: Network | None) -> storage.StorageAccount:
        """An account of its own: the role the host needs on it would let one app replace the other's code."""
        return storage.StorageAccount(
            f"{self._processor}-storage",
            account_name=self._group.names.compact("st", self._processor.replace("-", "")[:6]),
            kind="StorageV2",
            sku={"name": "Standard_ZRS" if self._group.azure.zones else "Standard_LRS"},
            allow_blob_public_access=False,
            allow_shared_key_access=False,
            allow_cross_tenant_replication=False,
            minimum_tls_version="TLS1_2",
            enable_https_traffic_only=True,
            **storage_access(network, trusted=False, addresses=self._group.azure.deploy_from),
            **self._group.placed,
            opts=ResourceOptions(parent=self),
        )

    def _container(self, account: storage.StorageAccount, use: str) -> storage.BlobContainer:
        return storage.BlobContainer(
            f"{self._processor}-{use}",
            account_name=account.name,
            container_name=use,
            public_access="None",
            **self._group.within,
            opts=ResourceOptions(parent=account),
        )

    def _sign_in(self, app: web.WebApp, pages: IncidentPages) -> web.WebAppAuthSettingsV2:
        """Nobody comes to the app's pages whom Entra has not signed in. The app itself is known to Entra by its managed identity,
        in the place of a secret.
        """
        return web.WebAppAuthSettingsV2(
            f"{self._processor}-sign-in",
            name=app.name,
            platform={"enabled": True, "runtime_version": "~1"},
            global_validation={
                "require_authentication": True,
                "unauthenticated_client_action": web.UnauthenticatedClientActionV2.REDIRECT_TO_LOGIN_PAGE,
                "redirect_to_provider": "azureactivedirectory",
                "excluded_paths": [HEALTH_PATH, *HOOKS],
            },
            http_settings={"require_https": True},
            identity_providers={
                "azure_active_directory": {
                    "enabled": True,
                    "registration": {
                        "open_id_issuer": f"https://login.microsoftonline.com/{pages.tenant_id}/v2.0",
                        "client_id": pages.client_id,
                        "client_secret_setting_name": ASSERTION_SETTING,
                    },
                    "validation": {"allowed_audiences": [pages.client_id, f"api://{pages.client_id}"]},
                },
            },
            login={"token_store": {"enabled": False}},
            **self._group.within,
            opts=ResourceOptions(parent=app),
        )

    def _refuse_passwords(self, app: web.WebApp) -> None:
        """Publishing takes Entra tokens only; user name and password are off on both channels."""
        options = ResourceOptions(parent=app)
        web.WebAppScmAllowed(f"{self._processor}-scm", name=app.name, allow=False, **self._group.within, opts=options)
        web.WebAppFtpAllowed(f"{self._processor}-ftp", name=app.name, allow=False, **self._group.within, opts=options)
