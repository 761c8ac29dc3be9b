"""The ingest at 1,000, 10,000 and 100,000 devices, beside what one would write with wxc-sdk and one event per send.

Both read the same pages and send to the same Event Hubs stand-in, each in a process of its own that begins with its imports. The
peer keeps no state, finds no changes and attaches no rules: it lists the devices and sends each.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import bench_ingest
from benchmarks.processes import output_of, serving
from benchmarks.report import Table

SIZES = (1_000, 10_000, 100_000)
LARGEST_OF_THE_PEER = 10_000
"""100,000 single sends would take minutes, and say the same."""
MODULE = "benchmarks.bench_ingest_scale"


def tables() -> list[Table]:
    """A full snapshot with a new state, from the start of the process to the last acknowledgement."""
    rows: list[list[object]] = []
    for devices in SIZES:
        with (
            tempfile.TemporaryDirectory() as folder,
            serving(MODULE, "pages", str(devices)) as port,
            serving(MODULE, "hubs", folder) as connection,
        ):
            rows.append(["RoomPulse", devices, *_measured("ours", folder, port, connection, str(devices))])
            if devices <= LARGEST_OF_THE_PEER:
                rows.append(["wxc-sdk, one event per send", devices, *_measured("peer", folder, port, connection)])
    columns = ("what", "devices", "processor time (s)", "elapsed (s)", "devices/s of processor time", "peak memory (MB)")
    note = (
        "A full snapshot into a new state. Processor time of the whole process, imports and connections included; 1,000 a page, "
        "gzip, loopback. The peer keeps no state, finds no changes, attaches no rules, and was spared 100,000 single sends."
    )
    return [Table("Ingest: beside wxc-sdk, by size", columns, rows, note)]


def _measured(role: str, *arguments: str) -> list[object]:
    began = time.perf_counter()
    told = output_of(MODULE, role, *arguments)
    elapsed = time.perf_counter() - began
    measured = json.loads(told.splitlines()[-1])
    return [measured["processor"], elapsed, round(measured["devices"] / measured["processor"]), measured["megabytes"]]


def _pages(devices: str) -> None:
    bench_ingest.DEVICES = int(devices)
    bench_ingest._pages()


def _ours(folder: str, port: str, connection: str, devices: str) -> None:
    from processors.ingest.environment import poller_from, settings_of

    bench_ingest.DEVICES = int(devices)
    path = Path(folder, "ingest-settings.json")
    path.write_text(json.dumps(bench_ingest._settings()), encoding="utf-8")
    environment = {
        "WEBEX_API_BASE": f"http://127.0.0.1:{port}/v1",
        "WEBEX_ACCESS_TOKEN": "token",
        "INGEST_SETTINGS": str(path),
        "EVENT_HUBS": connection,
        "STATE_FOLDER": folder,
    }
    poller = poller_from(environment, settings_of(environment))
    report = poller.poll()
    assert not report.partial and report.devices == int(devices), report
    poller.close()
    _tell(report.devices)


def _peer(folder: str, port: str, connection: str) -> None:
    import wxc_sdk
    from azure.eventhub import EventData, EventHubProducerClient
    from wxc_sdk.rest import RestSession

    RestSession.BASE = f"http://127.0.0.1:{port}/v1"
    with wxc_sdk.WebexSimpleApi(tokens="token") as api:
        producer = EventHubProducerClient.from_connection_string(connection, eventhub_name="observations")
        count = 0
        for device in api.devices.list(max_=1000):
            body: dict[str, Any] = device.model_dump(mode="json", by_alias=True)
            producer.send_event(EventData(json.dumps(body)))
            count += 1
        producer.close()
    _tell(count)


def _tell(devices: int) -> None:
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"devices": devices, "processor": time.process_time(), "megabytes": megabytes}))


if __name__ == "__main__":
    roles: dict[str, Callable[..., None]] = {"pages": _pages, "hubs": bench_ingest._hubs, "ours": _ours, "peer": _peer}
    roles[sys.argv[1]](*sys.argv[2:])
