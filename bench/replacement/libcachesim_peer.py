"""Replay a trace through one policy of libcachesim and print its hit ratio as JSON.

A process of its own, run by libcachesim's own interpreter: it is GPL, so nothing of ours imports it.
"""

import json
import sys

import libcachesim


def main() -> None:
    """Arguments: an oracleGeneral file, a policy's name, and how many objects fit."""
    path, name, objects = sys.argv[1], sys.argv[2], int(sys.argv[3])
    reader = libcachesim.TraceReader(
        trace=path,
        trace_type=libcachesim.TraceType.ORACLE_GENERAL_TRACE,
        reader_init_params=libcachesim.ReaderInitParam(ignore_obj_size=True),
    )
    miss_ratio, _ = getattr(libcachesim, name)(cache_size=objects).process_trace(reader)
    print(json.dumps({"policy": name, "hit_ratio": 1 - miss_ratio}))


main()
