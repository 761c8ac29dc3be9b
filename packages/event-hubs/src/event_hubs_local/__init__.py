"""Event Hubs on loopback: an AMQP 1.0 broker for the unmodified azure-eventhub client, with event logs on disk."""
