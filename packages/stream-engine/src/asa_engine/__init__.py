"""Azure Stream Analytics queries on this machine: the `.asaql` that is deployed runs unchanged, on DuckDB.

`engine.StreamEngine` is the way in for programs, `commands` for the command line. How it works: how-it-works.md of the package.
"""
