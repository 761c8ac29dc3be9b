"""The local lake: Delta tables on disk, the sink that fills them from the hubs, and the live store that reads them."""
