"""The hot path on PostgreSQL."""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from servicekit.database import COMMAND_SECONDS_MAX, CONNECT_SECONDS_MAX, PASSING_SQLSTATES
from sqlalchemy import URL

from penstock_billing.statements import Row, Save
from penstock_billing.steps import Fetch, Lock, Step, Steps, Write
from penstock_billing.writers import lock_key, unavailable

Result = TypeVar("Result")

# Rows are found by their keys. Tables grow faster than their statistics: a plan that was made while they were small, or
# for a list of another length, would read whole tables.
_BY_KEY = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}


class PostgresqlWriter:
    """Runs transactions over one connection of its own, which it opens anew when it broke."""

    def __init__(self, url: URL, schema: str) -> None:
        self._url = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._schema = schema
        self._opened: Any = None
        self._one_at_a_time = asyncio.Lock()

    async def run(self, begin: Callable[[], Steps[Result]]) -> Result:
        """Run the steps; see Writer."""
        async with self._one_at_a_time:
            try:
                return await self._transact(begin())
            except BaseException as error:
                self._drop()
                if _is_passing(error):
                    raise unavailable(error) from error
                raise

    async def close(self) -> None:
        """Close the connection."""
        self._drop()

    async def _transact(self, steps: Steps[Result]) -> Result:
        step = next(steps)
        assert isinstance(step, Lock), "a transaction begins with its locks"
        connection = await self._begin(step)
        found: Sequence[Row] = ()
        try:
            while True:
                step = steps.send(found)
                found = await _run_on_postgresql(connection, step)
        except StopIteration as end:
            result: Result = end.value
        await connection.execute("COMMIT")
        return result

    async def _begin(self, lock: Lock) -> Any:
        """Begin and lock in one round trip; on a connection that broke while nobody looked, once more on a new one."""
        keys = ",".join(map(str, sorted({lock_key(name) for name in lock.names})))
        script = f"BEGIN; SELECT pg_advisory_xact_lock(key) FROM unnest('{{{keys}}}'::bigint[]) AS key"  # noqa: S608 - integers
        if self._opened is not None:
            try:
                await self._opened.execute(script)
            except Exception as error:
                if not _is_passing(error) or isinstance(error, TimeoutError):
                    raise
                self._drop()
            else:
                return self._opened
        self._opened = await self._connect()
        await self._opened.execute(script)
        return self._opened

    async def _connect(self) -> Any:
        import asyncpg  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, for who keeps the ledger there

        return await asyncpg.connect(
            self._url,
            timeout=CONNECT_SECONDS_MAX,
            command_timeout=COMMAND_SECONDS_MAX,
            server_settings={
                "search_path": self._schema,
                "application_name": "penstock-billing-writer",
                **_BY_KEY,
            },
        )

    def _drop(self) -> None:
        if self._opened is not None:
            self._opened.terminate()
            self._opened = None


async def _run_on_postgresql(connection: Any, step: Step) -> Sequence[Row]:
    match step:
        case Fetch(find, keys):
            rows: Sequence[Row] = await connection.fetch(find.postgresql, keys)
            return rows
        case Write(saves) if saves:
            await connection.execute(_script(tuple(save for save, _ in saves)), *_lists(saves))
    return ()


@lru_cache(maxsize=64)
def _script(saves: tuple[Save, ...]) -> str:
    """Write several statements as one, each with lists of its own: one round trip, whatever their number."""
    parts, first = [], 1
    for save in saves:
        parts.append(save.numbered(first))
        first += len(save.columns)
    *before, last = parts
    if not before:
        return last
    named = ", ".join(f"save_{place} AS ({part})" for place, part in enumerate(before))
    return f"WITH {named} {last}"


def _lists(saves: Sequence[tuple[Save, Sequence[Row]]]) -> list[list[Any]]:
    return [list(column) for _, rows in saves for column in zip(*rows, strict=True)]


def _is_passing(error: BaseException) -> bool:
    """Tell what may be gone on a retry: a lost connection, a time-out, PostgreSQL's classes of such states."""
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return str(state)[:2] in PASSING_SQLSTATES
    return isinstance(error, OSError | TimeoutError) or type(error).__name__ == "InterfaceError"
