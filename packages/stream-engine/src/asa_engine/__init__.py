"""A local engine for Azure Stream Analytics queries: the `.asaql` that is deployed runs here unchanged, on DuckDB.

Start with `README.md` in this folder; `engine.StreamEngine` is the way in for programs, `commands` for the command line.
"""
