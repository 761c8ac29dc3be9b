"""A small Azure Functions host: runs the function apps of `processors` unchanged, on the shared clock and the local hubs."""
