"""Reads a Stream Analytics project folder (the layout VS Code's extension opens) into what Azure wants.

The folder says what the job is: query, inputs, outputs, policies. The bindings say where it runs: which namespace, which storage
account. Their values may be Pulumi outputs; they are placed, never looked into.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi


@dataclass(frozen=True)
class EventHubBinding:
    """The Event Hubs namespace behind an input or output; hub and consumer group are the project's own unless given."""

    namespace: pulumi.Input[str]
    hub: pulumi.Input[str] | None = None
    consumer_group: pulumi.Input[str] | None = None


@dataclass(frozen=True)
class BlobBinding:
    """The storage account and container behind an output; the path within is the project's own."""

    storage_account: pulumi.Input[str]
    container: pulumi.Input[str] | None = None


Binding = EventHubBinding | BlobBinding


def job_body(folder: Path, bindings: Mapping[str, Binding], streaming_units: int | None = None) -> dict[str, Any]:
    """The ARM body of the job in `folder`, without location, identity and tags: `{"properties": {...}}`."""
    raise NotImplementedError
