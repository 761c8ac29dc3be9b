// Microsoft's JavaScript client, told what to do by test_clients.py: a command in JSON on each line of standard input, its answer on
// each line of standard output. go_client/main.go speaks the same.
"use strict";

const { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition, latestEventPosition } = require("@azure/event-hubs");

const CLOSE_MS = 5_000;

const producers = new Map();
const readers = new Map();

const options = (command) => ({ retryOptions: { maxRetries: command.retries, retryDelayInMs: 100, timeoutInMs: 10_000 } });

function producer({ connection, hub, retries }) {
  const key = `${connection} ${hub}`;
  if (!producers.has(key)) producers.set(key, new EventHubProducerClient(connection, hub, options({ retries })));
  return producers.get(key);
}

function startPosition({ from, value, inclusive }) {
  if (from === "start") return earliestEventPosition;
  if (from === "end") return latestEventPosition;
  if (from === "offset") return { offset: value, isInclusive: inclusive };
  if (from === "sequence") return { sequenceNumber: Number(value), isInclusive: inclusive };
  return { enqueuedOn: Number(value), isInclusive: inclusive };
}

class Reader {
  constructor(command) {
    this.events = [];
    this.fault = null;
    this.wake = () => {};
    this.client = new EventHubConsumerClient(command.group, command.connection, command.hub, options(command));
    const handlers = {
      processEvents: async (events) => {
        this.events.push(...events);
        this.wake();
      },
      processError: async (fault) => {
        this.fault = fault;
        this.wake();
      },
    };
    const subscription = { startPosition: startPosition(command), maxBatchSize: 100, maxWaitTimeInSeconds: 1, skipParsingBodyAsJson: true };
    if (command.owner !== null) subscription.ownerLevel = command.owner;
    this.client.subscribe(command.partition, handlers, subscription);
  }

  async receive(count, seconds) {
    const deadline = Date.now() + seconds * 1000;
    while (this.events.length < count && Date.now() < deadline) {
      if (this.fault !== null && !this.fault.retryable) throw this.fault;
      await new Promise((resolve) => {
        this.wake = resolve;
        setTimeout(resolve, 50);
      });
    }
    return { events: this.events.splice(0, count).map(described) };
  }
}

const described = (event) => ({
  sequence: event.sequenceNumber,
  offset: event.offset,
  time_ms: event.enqueuedTimeUtc.getTime(),
  key: event.partitionKey ?? null,
  properties: event.properties ?? {},
  body: Buffer.from(event.body).toString("base64"),
});

const commands = {
  async hub(command) {
    const found = await producer(command).getEventHubProperties();
    return { name: found.name, created_ms: found.createdOn.getTime(), partitions: found.partitionIds, replicated: found.isGeoDrEnabled };
  },

  async partition(command) {
    const found = await producer(command).getPartitionProperties(command.partition);
    return {
      hub: found.eventHubName,
      partition: found.partitionId,
      begin: found.beginningSequenceNumber,
      last: found.lastEnqueuedSequenceNumber,
      offset: found.lastEnqueuedOffset,
      time_ms: found.lastEnqueuedOnUtc.getTime(),
      empty: found.isEmpty,
    };
  },

  async send(command) {
    const place = {};
    if (command.partition !== null) place.partitionId = command.partition;
    if (command.key !== null) place.partitionKey = command.key;
    const batch = await producer(command).createBatch(place);
    for (const { body, properties } of command.events) {
      if (!batch.tryAdd({ body: Buffer.from(body, "base64"), properties })) throw new Error("the event is too large for the batch");
    }
    await producer(command).sendBatch(batch);
    return {};
  },

  async open(command) {
    readers.set(command.reader, new Reader(command));
    return {};
  },

  async receive(command) {
    return readers.get(command.reader).receive(command.count, command.seconds);
  },

  async close(command) {
    // A reader that was refused may be about to try again, and then its close may never end; nothing is read from it any more.
    const patience = new Promise((resolve) => setTimeout(resolve, CLOSE_MS));
    await Promise.race([readers.get(command.reader).client.close(), patience]);
    return {};
  },
};

async function main() {
  for await (const line of require("readline").createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    let answer;
    try {
      answer = await commands[command.do](command);
    } catch (fault) {
      answer = { error: `${fault.code ?? fault.name}: ${fault.message}` };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
}

main();
