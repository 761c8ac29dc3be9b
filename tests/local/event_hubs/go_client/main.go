// Microsoft's Go client, told what to do by test_clients.py: a command in JSON on each line of standard input, its answer on each
// line of standard output. js_client.js speaks the same.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
)

type event struct {
	Body       []byte         `json:"body"`
	Properties map[string]any `json:"properties"`
	Sequence   int64          `json:"sequence"`
	Offset     string         `json:"offset"`
	TimeMs     int64          `json:"time_ms"`
	Key        *string        `json:"key"`
}

type command struct {
	Do         string
	Connection string
	Hub        string
	Retries    int32
	Partition  *string
	Key        *string
	Events     []event
	Reader     string
	Group      string
	From       string
	Value      string
	Inclusive  bool
	Owner      *int64
	Count      int
	Seconds    float64
}

type answer map[string]any

var producers = map[string]*azeventhubs.ProducerClient{}
var readers = map[string]*azeventhubs.PartitionClient{}

func retries(c command) azeventhubs.RetryOptions {
	most := c.Retries
	if most == 0 {
		most = -1 // here zero means the default
	}
	return azeventhubs.RetryOptions{MaxRetries: most, RetryDelay: 100 * time.Millisecond}
}

func producer(c command) (*azeventhubs.ProducerClient, error) {
	key := c.Connection + " " + c.Hub
	if found, ok := producers[key]; ok {
		return found, nil
	}
	options := &azeventhubs.ProducerClientOptions{RetryOptions: retries(c)}
	made, err := azeventhubs.NewProducerClientFromConnectionString(c.Connection, c.Hub, options)
	if err == nil {
		producers[key] = made
	}
	return made, err
}

func hub(ctx context.Context, c command) (answer, error) {
	client, err := producer(c)
	if err != nil {
		return nil, err
	}
	found, err := client.GetEventHubProperties(ctx, nil)
	if err != nil {
		return nil, err
	}
	return answer{
		"name": found.Name, "created_ms": found.CreatedOn.UnixMilli(), "partitions": found.PartitionIDs,
		"replicated": found.GeoReplicationEnabled,
	}, nil
}

func partition(ctx context.Context, c command) (answer, error) {
	client, err := producer(c)
	if err != nil {
		return nil, err
	}
	found, err := client.GetPartitionProperties(ctx, *c.Partition, nil)
	if err != nil {
		return nil, err
	}
	return answer{
		"hub": found.EventHubName, "partition": found.PartitionID, "begin": found.BeginningSequenceNumber,
		"last": found.LastEnqueuedSequenceNumber, "offset": found.LastEnqueuedOffset,
		"time_ms": found.LastEnqueuedOn.UnixMilli(), "empty": found.IsEmpty,
	}, nil
}

func send(ctx context.Context, c command) (answer, error) {
	client, err := producer(c)
	if err != nil {
		return nil, err
	}
	batch, err := client.NewEventDataBatch(ctx, &azeventhubs.EventDataBatchOptions{PartitionID: c.Partition, PartitionKey: c.Key})
	if err != nil {
		return nil, err
	}
	for _, each := range c.Events {
		if err := batch.AddEventData(&azeventhubs.EventData{Body: each.Body, Properties: each.Properties}, nil); err != nil {
			return nil, err
		}
	}
	return answer{}, client.SendEventDataBatch(ctx, batch, nil)
}

func startPosition(c command) (azeventhubs.StartPosition, error) {
	position := azeventhubs.StartPosition{Inclusive: c.Inclusive}
	switch c.From {
	case "start":
		position.Earliest = to.Ptr(true)
	case "end":
		position.Latest = to.Ptr(true)
	case "offset":
		position.Offset = &c.Value
	default:
		number, err := strconv.ParseInt(c.Value, 10, 64)
		if err != nil {
			return position, err
		}
		if c.From == "sequence" {
			position.SequenceNumber = &number
		} else {
			position.EnqueuedTime = to.Ptr(time.UnixMilli(number))
		}
	}
	return position, nil
}

func open(ctx context.Context, c command) (answer, error) {
	options := &azeventhubs.ConsumerClientOptions{RetryOptions: retries(c)}
	client, err := azeventhubs.NewConsumerClientFromConnectionString(c.Connection, c.Hub, c.Group, options)
	if err != nil {
		return nil, err
	}
	position, err := startPosition(c)
	if err != nil {
		return nil, err
	}
	reader, err := client.NewPartitionClient(*c.Partition, &azeventhubs.PartitionClientOptions{StartPosition: position, OwnerLevel: c.Owner})
	if err == nil {
		readers[c.Reader] = reader
	}
	return answer{}, err
}

func receive(ctx context.Context, c command) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.Seconds*float64(time.Second)))
	defer cancel()
	found, err := readers[c.Reader].ReceiveEvents(ctx, c.Count, nil)
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	events := []event{}
	for _, each := range found {
		events = append(events, event{
			Body: each.Body, Properties: each.Properties, Sequence: each.SequenceNumber, Offset: each.Offset,
			TimeMs: each.EnqueuedTime.UnixMilli(), Key: each.PartitionKey,
		})
	}
	return answer{"events": events}, nil
}

func closeReader(ctx context.Context, c command) (answer, error) {
	return answer{}, readers[c.Reader].Close(ctx)
}

var commands = map[string]func(context.Context, command) (answer, error){
	"hub": hub, "partition": partition, "send": send, "open": open, "receive": receive, "close": closeReader,
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		found, err := commands[c.Do](context.Background(), c)
		if err != nil {
			found = answer{"error": err.Error()}
		}
		if err := out.Encode(found); err != nil {
			os.Exit(1)
		}
	}
}
