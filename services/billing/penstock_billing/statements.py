"""The statements of the hot path, for both stores, written out once from the tables.

SQLAlchemy builds and checks each statement and row anew, 100 µs a statement; here texts are fixed when the process
starts, rows are tuples in the order of the columns, and drivers keep what they prepared.
"""

# ruff: noqa: S608 - the names are those of our own tables

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
)

Row = Sequence[Any]

# What PostgreSQL's arrays of each type hold. JSON travels as text.
_POSTGRESQL: dict[type, str] = {
    SmallInteger: "smallint",
    BigInteger: "bigint",
    Integer: "integer",
    Boolean: "boolean",
    String: "text",
    LargeBinary: "bytea",
    JSON: "text",
}


@dataclass(frozen=True, slots=True)
class Find:
    """Rows of a table whose column is one of a list."""

    sqlite: str
    postgresql: str

    @classmethod
    def by(cls, table: Table, columns: Sequence[str], key: str) -> "Find":
        """Find rows and give these columns of them."""
        select = f"SELECT {', '.join(columns)} FROM {table.name} WHERE {key}"
        return cls(f"{select} IN (SELECT value FROM json_each(?))", f"{select} = ANY($1)")


@dataclass(frozen=True, slots=True)
class Save:
    """Rows to write, as tuples of these columns.

    `postgresql` is the statement for a list of each column; `{rows}` stands for the lists, so that several statements
    can travel as one.
    """

    columns: tuple[str, ...]
    sqlite: str
    postgresql: str
    types: tuple[str, ...] = field(repr=False)

    @classmethod
    def insert(
        cls, table: Table, columns: Sequence[str], changing: Sequence[str] = (), adding: Sequence[str] = ()
    ) -> "Save":
        """Insert rows; one whose key is there already changes these columns of it, or adds to them."""
        names = ", ".join(columns)
        sets = [f"{name} = excluded.{name}" for name in changing]
        sets += [f"{name} = {table.name}.{name} + excluded.{name}" for name in adding]
        keys = ", ".join(column.name for column in table.primary_key)
        conflict = f" ON CONFLICT ({keys}) DO UPDATE SET {', '.join(sets)}" if sets else ""
        values = ", ".join("?" * len(columns))
        casts = ", ".join(_cast(table.c[name]) for name in columns)
        return cls(
            columns=tuple(columns),
            sqlite=f"INSERT INTO {table.name} ({names}) VALUES ({values}){conflict}",
            postgresql=f"INSERT INTO {table.name} ({names}) SELECT {casts} FROM {{rows}}{conflict}",
            types=_types(table, columns),
        )

    @classmethod
    def update(cls, table: Table, columns: Sequence[str]) -> "Save":
        """Change rows that are there; what is not of the key changes."""
        keys = [column.name for column in table.primary_key]
        columns = [name for name in columns if name not in keys] + keys
        changing = columns[: -len(keys)]
        at = " AND ".join(f"{name} = ?" for name in keys)
        joined = " AND ".join(f"{table.name}.{name} = u.{name}" for name in keys)
        return cls(
            columns=tuple(columns),
            sqlite=f"UPDATE {table.name} SET {', '.join(f'{name} = ?' for name in changing)} WHERE {at}",
            postgresql=(
                f"UPDATE {table.name} SET {', '.join(f'{name} = u.{name}' for name in changing)} "
                f"FROM {{rows}} WHERE {joined}"
            ),
            types=_types(table, columns),
        )

    def numbered(self, first: int = 1) -> str:
        """Give the statement for PostgreSQL; the list of the first column is the parameter of this number."""
        arrays = ", ".join(f"${first + place}::{name}[]" for place, name in enumerate(self.types))
        return self.postgresql.replace("{rows}", f"unnest({arrays}) AS u({', '.join(self.columns)})")

    def execute(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Write rows, at least one, over a connection of SQLAlchemy."""
        if connection.dialect.name == "postgresql":
            lists = tuple(list(column) for column in zip(*rows, strict=True))
            connection.exec_driver_sql(self.numbered(), lists)
        else:
            connection.exec_driver_sql(self.sqlite, [tuple(row) for row in rows])


def _types(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(_POSTGRESQL[type(table.c[name].type)] for name in columns)


def _cast(column: Column[Any]) -> str:
    return f"u.{column.name}::json" if isinstance(column.type, JSON) else f"u.{column.name}"
