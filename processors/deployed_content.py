"""The health route of a deployed app: says which content runs, to anybody who can reach it, and nothing else.

`infra/packaging.py` puts the content's hash beside the app's entry; `infra/providers/function_package.py` asks for it.
"""

from __future__ import annotations

from pathlib import Path

import azure.functions as func

CONTENT = Path(__file__).resolve().parents[1] / "content.json"
"""Written by the packager; a checkout has none."""

health_route = func.Blueprint()


@health_route.function_name("health")  # type: ignore[untyped-decorator]
@health_route.route(route="api/health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)  # type: ignore[untyped-decorator]
def health(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with the content hash. `req` must be called so: the worker binds a route to this name."""
    return func.HttpResponse(CONTENT.read_bytes(), mimetype="application/json")
