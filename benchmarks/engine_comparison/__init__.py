"""The local stream engine beside Flink SQL, Spark Structured Streaming and hand-written Polars: same events, same rows, one run.

`aggregate` is a one-minute aggregate, `deployed` the query of the repository.
Every contestant runs in a process of its own, from an environment of its own (`make bench-engine` installs it), reads the
same JSON lines and writes its result rows as Parquet or JSON. `compare.py` starts them one after another and believes a
figure only when the rows are equal to ours.
"""
