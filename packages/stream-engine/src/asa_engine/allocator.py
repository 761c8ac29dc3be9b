"""What libraries are asked for where a query runs at full speed, and above all how memory is given back: by DuckDB's allocator
(jemalloc) and by the C library's.

Steps, outputs and parsing run on threads of their own, and what one thread frees another needs: so one arena for all. Freed pages
go back to the system after three seconds. The default is to purge whenever DuckDB's memory limit is near, every few
milliseconds, and each page then has to be fetched anew. The C library gives back every freed array of numpy at once, unless
it is asked to keep up to 64 MB. Measured with the deployed query: a tenth to a fifth faster, and less memory than with a limit.
Numpy's linear algebra, of which nothing is used, would start a thread for every core: a tenth of the time to the first row.
"""

from __future__ import annotations

FAST = {
    "DUCKDB_JE_MALLOC_CONF": "narenas:1,dirty_decay_ms:3000,muzzy_decay_ms:0",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "OPENBLAS_NUM_THREADS": "1",
}
"""Environment variables. DuckDB and numpy look at theirs once, when they are loaded; the C library when the process starts."""
