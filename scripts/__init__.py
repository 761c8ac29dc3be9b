"""What the repository's own upkeep needs; nothing of it is deployed or installed."""
