"""A one-minute tumbling aggregate per city and device."""
