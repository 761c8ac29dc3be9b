"""Runs the stream query on live events: receive, release what is complete, deliver, checkpoint; in this order nothing is lost.

A crash between delivery and checkpoint delivers rows a second time; their keys are the same, and consumers drop them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from pathlib import Path

import duckdb
from azure.eventhub.exceptions import EventHubError

from asa_engine.engine import OutputRows, StreamEngine
from asa_engine.errors import StateMismatch, StreamEngineError
from asa_engine.job_folder import JobFolder, JobOutput, read_job_folder
from event_hubs_local.bookmarks import Position
from local.lake.tables import READINGS
from local.part import Part, PartError
from local.stream_job.arrivals import Arrived, HubReader
from local.stream_job.checkpoint import Checkpoint, CheckpointStore
from local.stream_job.delivery import GaveUp, HubSender, LakeOutput, messages_of, quarantined

JOB = Path(__file__).resolve().parents[2] / "asa-queries" / "roompulse"
DEADLETTER = "deadletter"
READINGS_OUTPUT = "lake"
TICK_SECONDS = 0.2
CHECKPOINT_SECONDS = 2.0
CHECKPOINT_SHARE, LONGEST_UNSAVED_SECONDS = 50.0, 60.0
"""A state that takes long to save is saved less often, since readings wait meanwhile: so many times as long passes before the
next, at most so long. After a crash so much is delivered again."""
TICKS_PER_DATABASE = 500
"""After so many ticks the job goes on in another database. DuckDB remembers buffers that are long gone, up to 32,768 in each of
several queues, and forgets them only where memory is short: 24 kB a tick, some 12 MB until then."""
STATUS_SECONDS = 1.0
MEMORY_LIMIT = "128MB"
"""What the query's tables may hold in memory; a snapshot of a very large estate goes on disk beyond it."""


async def serve(part: Part) -> None:
    """Run the job until the part stops. Raises PartError when the query, the checkpoint or the lake needs a person."""
    try:
        job = StreamJob(part, read_job_folder(JOB))
    except StreamEngineError as fault:
        raise PartError(str(fault)) from fault
    try:
        await job.run()
    except StreamEngineError as fault:
        raise PartError(f"The stream query stopped: {fault}") from fault
    finally:
        await job.close()


class StreamJob:
    """One run of the job."""

    def __init__(self, part: Part, folder: JobFolder) -> None:
        self.part = part
        self.folder = folder
        (self.input,) = folder.inputs.values()
        if self.input.hub is None or self.input.consumer_group is None:
            raise PartError(f"{folder.path}: input {self.input.name} names no hub and consumer group.")
        for output in folder.outputs.values():
            if output.hub is None and output.delta_table is None:
                raise PartError(
                    f"{folder.path}: output {output.name} is neither a hub nor a Delta table: nothing here writes it."
                )
        self.engine = self._new_engine()
        self.checkpoints = CheckpointStore(part.settings.state_dir / "stream-job")
        self.reader = HubReader(part, self.input.hub, self.input.consumer_group)
        hubs = {output.hub for output in folder.outputs.values() if output.hub} | {DEADLETTER}
        self.senders = {hub: HubSender(part, hub) for hub in hubs}
        self.lake = LakeOutput(part, READINGS.writer(part.settings.lake_dir))
        self.positions: dict[int, Position] = {}
        self.figures: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        self._waiting: deque[tuple[int, int]] = deque()
        self._save_at = time.monotonic() + CHECKPOINT_SECONDS
        self._unsaved = False
        self._ticks = 0

    def _new_engine(self) -> StreamEngine:
        connection = duckdb.connect(
            config={
                "threads": 1,
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": str(self.part.settings.state_dir / "stream-job" / "spill"),
            }
        )
        return StreamEngine(
            self.folder.query,
            self.folder.schemas,
            policy=self.folder.policy,
            connection=connection,
            file_name=self.folder.query_file.name,
        )

    # ---- life

    async def run(self) -> None:
        """Resume, receive and process until the part stops; then save what is known."""
        # every answer of the broker takes the client half a second: ask for everything at once
        connecting = asyncio.create_task(self._connect())
        try:
            partitions = await self.reader.partitions()
            await self._resume(partitions)
            self.engine.declare_partitions(self.input.name, partitions)
        finally:
            await connecting
        steps = len(self.engine.plan.step_columns)
        self.part.ready(self.folder.query_file.name, f"{steps} steps, {len(self.engine.plan.outputs)} outputs")
        receiving = asyncio.create_task(self.reader.receive(self.positions, partitions))
        ending = asyncio.create_task(self._end_with_the_part(receiving))
        reporting = asyncio.create_task(self._report())
        try:
            with contextlib.suppress(GaveUp):
                while not self.part.stopping.is_set():
                    await self._wait_for_work()
                    await self._tick()
                    worn = self._ticks >= TICKS_PER_DATABASE
                    if (self._unsaved or worn) and time.monotonic() >= self._save_at and await self._save() and worn:
                        await self._renew(partitions)
                if self._unsaved:
                    await self._save()
        finally:
            for task in (ending, receiving, reporting):
                task.cancel()
            await asyncio.gather(ending, receiving, reporting, return_exceptions=True)

    async def _end_with_the_part(self, receiving: asyncio.Task[None]) -> None:
        """It takes the client a second to stop receiving: time for the tick that runs, and to save."""
        await self.part.stopping.wait()
        receiving.cancel()

    async def _connect(self) -> None:
        with contextlib.suppress(GaveUp):
            await asyncio.gather(*(sender.connect() for sender in self.senders.values()))

    async def close(self) -> None:
        """Close every connection."""
        await self.reader.close()
        for sender in self.senders.values():
            await sender.close()
        self.lake.close()
        self.engine.close()

    async def _resume(self, partitions: list[int]) -> None:
        """Continue from the checkpoint, unless it belongs to another query or to a hub that has begun anew."""
        try:
            checkpoint = await asyncio.to_thread(self.checkpoints.restore, self.engine)
        except StateMismatch as fault:
            self.part.log.warning("the checkpoint is of another query or version (%s): reading the hub from its beginning", fault)
            self._start_over()
            return
        if checkpoint is None:
            return
        self.positions = checkpoint.positions
        try:
            newest = await asyncio.gather(*(self.reader.newest(partition) for partition in partitions))
        except (EventHubError, OSError) as fault:
            raise PartError(
                f"Hub {self.input.hub} can't say where it stands ({fault}). See that Event Hubs runs, then start again."
            ) from fault
        for partition, number in zip(partitions, newest, strict=True):
            read = self.positions.get(partition)
            if read is not None and number < read.sequence:
                self.part.warning(
                    f"hub {self.input.hub}, partition {partition}: its log is younger than the checkpoint: it ends with event "
                    f"{number}, and event {read.sequence} was read. What the old log had behind that is lost; the hub is read "
                    "from its beginning. If nobody deleted the log on purpose, see to the disk."
                )
                self._start_over()
                return

    def _start_over(self) -> None:
        self.engine.close()
        self.engine = self._new_engine()
        self.positions = {}

    # ---- work

    async def _wait_for_work(self) -> None:
        """A tick follows what arrives after a fifth of a second, so that events share it; windows close without any, too."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.reader.something, self.part.stopping)]
        try:
            idle = STATUS_SECONDS if not self._waiting else TICK_SECONDS
            done, _ = await asyncio.wait(waits, timeout=idle, return_when=asyncio.FIRST_COMPLETED)
            if waits[0] in done and not self.part.stopping.is_set():
                await asyncio.wait([waits[1]], timeout=TICK_SECONDS)
        finally:
            for task in waits:
                task.cancel()

    async def _tick(self) -> None:
        """Process what has arrived and deliver what is complete."""
        arrived = self.reader.take()
        if arrived.bodies:
            await self._feed(arrived)
        for partition, moment in arrived.heard.items():
            self.engine.heartbeat(self.input.name, partition, moment)
        self._ticks += 1
        outputs = await asyncio.to_thread(self.engine.advance)
        # alerts before everything else: somebody waits for them
        for rows in sorted(outputs, key=lambda rows: self.folder.outputs[rows.name].hub != "alerts"):
            await self._deliver(rows, self.folder.outputs[rows.name])
        oldest = self.engine.oldest_waiting(self.input.name)
        while self._waiting and (oldest is None or self._waiting[0][0] <= oldest):
            self._waiting.popleft()
        if self.lake.is_due:
            await self._flush_lake()

    async def _feed(self, arrived: Arrived) -> None:
        dropped = self.engine.dropped(self.input.name)
        rejected = await asyncio.to_thread(
            self.engine.feed, self.input.name, arrived.bodies, arrived.arrivals(), arrived.origins()
        )
        dropped = self.engine.dropped(self.input.name) - dropped
        if dropped:
            self.figures["dropped"] += dropped
            self.part.log.warning("observations dropped by the time policy", extra={"ids": {"count": dropped}})
        self.positions |= arrived.positions
        self.figures["observations"] += len(arrived.bodies) - len(rejected)
        self._unsaved = True
        self._waiting.append((self.engine.fed(self.input.name), min(arrived.times)))
        if not rejected:
            return
        self.figures["quarantined"] += len(rejected)
        sender = self.senders[DEADLETTER]
        partitions = await sender.partition_count()
        messages = [
            quarantined(
                arrived.bodies[r.index],
                r.reason,
                arrived.times[r.index],
                f"{self.input.hub}/{arrived.partitions[r.index]}",
                partitions,
            )
            for r in rejected
        ]
        reasons = Counter(rejection.reason for rejection in rejected)
        self.part.log.warning(
            "observations that can't be understood", extra={"ids": {"count": len(rejected), "reasons": dict(reasons)}}
        )
        await sender.send(messages)

    async def _deliver(self, rows: OutputRows, output: JobOutput) -> None:
        if output.hub is None:
            await asyncio.to_thread(self.lake.take, rows)
            return
        sender = self.senders[output.hub]
        partitions = await sender.partition_count()
        messages = await asyncio.to_thread(messages_of, rows, output, partitions)
        await sender.send(messages)
        self.rows[output.name] += sum(message.body.count("\n") + 1 for message in messages)

    async def _flush_lake(self) -> None:
        self.rows[READINGS_OUTPUT] += await self.lake.flush()

    async def _save(self) -> bool:
        """Save the state, and say whether it is; when the disk is full, go on with the old one and try again."""
        await self._flush_lake()
        began = time.monotonic()
        try:
            await asyncio.to_thread(self.checkpoints.save, self.engine, Checkpoint(self.positions))
        except (OSError, duckdb.Error) as fault:
            self.part.warning(f"the checkpoint {self.checkpoints.path} can't be written ({fault}): going on with the last one")
            self._save_at = time.monotonic() + CHECKPOINT_SECONDS
            return False
        self.figures["checkpoints"] += 1
        now = time.monotonic()
        self._save_at = now + unsaved_seconds(now - began)
        self._unsaved = False
        return True

    async def _renew(self, partitions: list[int]) -> None:
        """Go on from the checkpoint that was just saved, in another database."""
        self.engine.close()
        self.engine = self._new_engine()
        self._ticks = 0
        await asyncio.to_thread(self.checkpoints.restore, self.engine)
        self.engine.declare_partitions(self.input.name, partitions)

    # ---- reporting

    async def _report(self) -> None:
        while True:
            self.part.status(
                observations=self.figures["observations"],
                quarantined=self.figures["quarantined"],
                dropped=self.figures["dropped"],
                checkpoints=self.figures["checkpoints"],
                rows=dict(self.rows),
                lag_seconds=round(self.lag_seconds(), 2),
            )
            await asyncio.sleep(STATUS_SECONDS)

    def lag_seconds(self) -> float:
        """The age of the oldest observation taken in but not given out yet, in real seconds; 0 when there is none."""
        if not self._waiting:
            return 0.0
        clock = self.part.settings.clock
        return max(0.0, clock.real_seconds(clock.seconds() - self._waiting[0][1] / 1_000_000))


def unsaved_seconds(saving: float) -> float:
    """How long after a checkpoint that took `saving` seconds the next one is made."""
    return max(CHECKPOINT_SECONDS, min(LONGEST_UNSAVED_SECONDS, CHECKPOINT_SHARE * saving))
