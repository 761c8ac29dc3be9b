"""What one local run consists of: where it keeps its data, which ports it uses, how fast its clock runs.

`roompulse run` writes these settings to `<data folder>/run.json`; every part (a process of its own) reads that one file.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from local.clock import SimulatedClock
from processors.alert_fanout.routing import in_office_hours
from processors.contracts.facts import OfficeHours

CONTROL_HUB_SECRET = "control-hub-simulated"
"""The name of the secret that the simulated Control Hub and the fan-out share."""


@dataclass(frozen=True)
class LocalCity:
    """A city as the local parts need it: its slug, its name, its IANA time zone, its Webex locations by name, its office hours
    (mon to sun, HH:MM) in its own time, and by rule the last day on which it is muted.
    """

    slug: str
    name: str
    time_zone: str
    locations: tuple[str, ...]
    office_days: tuple[str, ...] = OfficeHours.days
    opens: str = OfficeHours.opens
    closes: str = OfficeHours.closes
    mutes: Mapping[str, str] = field(default_factory=dict, hash=False)

    def is_at_work(self, moment: datetime) -> bool:
        """Whether a moment is within its office hours."""
        return in_office_hours(OfficeHours(self.office_days, self.opens, self.closes), self.time_zone, moment)

    @classmethod
    def of(cls, record: dict[str, Any]) -> LocalCity:
        """A city as JSON keeps it."""
        lists: dict[str, Any] = {name: tuple(record[name]) for name in ("locations", "office_days") if name in record}
        return cls(**_known(cls, {**record, **lists}))


@dataclass(frozen=True)
class RunSettings:
    """Settings of one local run. Ports of 0 mean: let the system choose (tests). `causes`: by rule, the rules whose open alerts
    make its own say nothing new. `outside_severities`: by rule, what its alerts have outside office hours, where that is less.
    `push`: whether some rooms report by themselves what they measure; `control_hub`: whether the simulated Control Hub sends its
    alerts here.
    """

    data_dir: Path
    stack: str
    cities: tuple[LocalCity, ...]
    devices: int = 420
    seed: int = 7
    poll_seconds: float = 10.0
    snapshot_minutes: float = 15.0
    webex_port: int = 8081
    event_hubs_port: int = 5672
    page_port: int = 8080
    page_host: str = "127.0.0.1"
    causes: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    outside_severities: Mapping[str, int] = field(default_factory=dict, hash=False)
    push: bool = False
    control_hub: bool = False
    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(0.0, 0.0, 1.0))

    @property
    def webex_url(self) -> str:
        """Base address of the simulated Webex API, ending in /v1 like the real one."""
        return f"http://127.0.0.1:{self.webex_port}/v1"

    @property
    def webex_status_url(self) -> str:
        """Base address of the simulated status page of Webex."""
        return f"http://127.0.0.1:{self.webex_port}"

    @property
    def event_hubs_connection_string(self) -> str:
        """Connection string of the Event Hubs stand-in: the same form the official emulator uses."""
        return (
            f"Endpoint=sb://127.0.0.1:{self.event_hubs_port};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
        )

    @property
    def page_url(self) -> str:
        """Address of the live page: under the name of this machine where it listens on all of its addresses."""
        host = socket.gethostname() if self.page_host in ("0.0.0.0", "::") else self.page_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.page_port}"

    @property
    def page_token_path(self) -> Path:
        """The token by which one signs in to the page, where it is open to other machines."""
        return self.data_dir / "page-token"

    @property
    def hubs_dir(self) -> Path:
        """The Event Hubs stand-in's logs."""
        return self.data_dir / "hubs"

    @property
    def lake_dir(self) -> Path:
        """The Delta tables: one folder each."""
        return self.data_dir / "lake"

    @property
    def state_dir(self) -> Path:
        """Durable state of ingest, stream job, fan-out and the checkpoint store."""
        return self.data_dir / "state"

    @property
    def fanout_state_path(self) -> Path:
        """What the alert fan-out knows of its incidents: SqliteTexts of processors/alert_fanout/state.py."""
        return self.state_dir / "fanout.sqlite"

    @property
    def logs_dir(self) -> Path:
        """One log file per part, JSON lines."""
        return self.data_dir / "logs"

    @property
    def ingest_settings_path(self) -> Path:
        """Settings of the ingest function, in pieces (what Azure gets as blobs)."""
        return self.data_dir / "settings" / "ingest"

    @property
    def fanout_settings_path(self) -> Path:
        """Settings of the alert fan-out function, in pieces."""
        return self.data_dir / "settings" / "fanout"

    @property
    def inbox_path(self) -> Path:
        """SQLite file of the alert inbox the page shows."""
        return self.data_dir / "inbox.sqlite"

    @property
    def secrets_dir(self) -> Path:
        """What the fan-out's settings name as secrets, a file each (SECRETS_FOLDER)."""
        return self.data_dir / "secrets"

    @property
    def control_hub_secret_path(self) -> Path:
        """With what the simulated Control Hub signs its alerts."""
        return self.secrets_dir / CONTROL_HUB_SECRET

    @property
    def control_hub_hook(self) -> str:
        """Where it sends them: what the fan-out serves on Azure (inbound.py), the page serves here."""
        return f"http://127.0.0.1:{self.page_port}/hooks/control-hub"

    @property
    def integration_dir(self) -> Path:
        """The Workspace Integration that rooms say what they measure, as `roompulse webex integration activate` keeps it."""
        return self.data_dir / "integration"

    @property
    def control_url(self) -> str:
        """Where `roompulse scenario` breaks things in the simulated estate."""
        return f"http://127.0.0.1:{self.webex_port}/_control"

    def write(self, path: Path) -> None:
        """Write the settings as JSON, atomically."""
        record = asdict(self)
        record["data_dir"] = str(self.data_dir)
        record["clock"] = {key: record["clock"][key] for key in ("real_origin", "simulated_origin", "speed")}
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def read(cls, path: Path) -> RunSettings:
        """Read settings written by `write`."""
        record = json.loads(path.read_text(encoding="utf-8"))
        record["data_dir"] = Path(record["data_dir"])
        record["cities"] = tuple(LocalCity.of(city) for city in record["cities"])
        record["causes"] = {rule: tuple(causes) for rule, causes in record.get("causes", {}).items()}
        record["clock"] = SimulatedClock(**record["clock"])
        return cls(**_known(cls, record))


def _known(kind: type[Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """What a kind has fields for. The file is written anew by every run, so what another release wrote need not be kept."""
    return {name: value for name, value in record.items() if name in {each.name for each in fields(kind)}}
