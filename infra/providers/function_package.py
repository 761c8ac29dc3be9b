"""The code of a function app on Flex Consumption as a resource: published, and proven to answer with its own content hash."""

from __future__ import annotations

import pulumi
from pulumi.dynamic import Resource, ResourceProvider


class FunctionPackageProvider(ResourceProvider):
    """Publishes a package and waits until the app answers with its hash."""

    serialize_as_secret_always = False


class FunctionPackage(Resource, module="roompulse", name="FunctionPackage"):
    """A published package. `sha256` is the content hash the running app answers with at /api/health."""

    sha256: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        app_name: pulumi.Input[str],
        package_path: str,
        sha256: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`package_path` is relative to the repository (no path of this machine gets into state); both come from `infra.packaging`."""
        raise NotImplementedError
