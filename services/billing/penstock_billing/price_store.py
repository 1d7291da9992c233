"""Price books in the database: kept for ever, and which is in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from servicekit.errors import NotFound
from sqlalchemy import Connection, Select, func, insert, select, tuple_

from penstock_billing.prices import PriceBook, restore_price_book
from penstock_billing.report_tables import price_activations
from penstock_billing.store import lock
from penstock_billing.tables import price_books

_LOCK = "/price books"


@dataclass(frozen=True, slots=True)
class KeptBook:
    """A book as it is kept. `activate_us` 0: it never was in force."""

    version: str
    content: str
    load_us: int
    activate_us: int
    in_force: bool

    @property
    def rows(self) -> int:
        """Number of its rows."""
        return self.content.count("\n") + bool(self.content)


def seed_price_book(connection: Connection, book: PriceBook, now_us: int) -> PriceBook:
    """Put a book in force if it was never seen, and give the one that is in force."""
    lock(connection, {_LOCK})
    known = select(price_books.c.version).where(price_books.c.version == book.version)
    if connection.execute(known).first() is None:
        _keep(connection, book, now_us)
        _activate(connection, book.version, now_us)
    return read_current(connection)


def import_price_book(connection: Connection, book: PriceBook, now_us: int) -> KeptBook:
    """Keep a book and put it in force."""
    lock(connection, {_LOCK})
    if connection.execute(select(price_books).where(price_books.c.version == book.version)).first() is None:
        _keep(connection, book, now_us)
    if connection.execute(_CURRENT).scalar() != book.version:
        _activate(connection, book.version, now_us)
    return get_price_book(connection, book.version)


def read_version(connection: Connection) -> str:
    """Give the version of the book in force."""
    return str(connection.execute(_CURRENT).scalar_one())


def read_current(connection: Connection) -> PriceBook:
    """Read the book in force."""
    return restore_price_book(get_price_book(connection, read_version(connection)).content)


def get_price_book(connection: Connection, version: str) -> KeptBook:
    """Read a book; "current" is the one in force.

    Raises:
        NotFound: there is none of that version (RESOURCE_NOT_FOUND).
    """
    wanted = read_version(connection) if version == "current" else version
    row = connection.execute(_books().where(price_books.c.version == wanted)).first()
    if row is None:
        message = "There is no such price book."
        raise NotFound("RESOURCE_NOT_FOUND", message, metadata={"name": f"priceBooks/{version}"})
    return KeptBook(*row)


def list_price_books(
    connection: Connection, before: Sequence[int | str] | None, items_max: int
) -> list[KeptBook]:
    """Read books, newest first; `before` is the (load time, version) of the last one of the page before."""
    order = (price_books.c.load_us, price_books.c.version)
    page = _books().order_by(*(column.desc() for column in order)).limit(items_max)
    if before is not None:
        page = page.where(tuple_(*order) < tuple_(*before))
    return [KeptBook(*row) for row in connection.execute(page)]


_CURRENT = select(price_activations.c.version).order_by(price_activations.c.activation_id.desc()).limit(1)


def _books() -> Select[Any]:
    activated = (
        select(func.coalesce(func.max(price_activations.c.activate_us), 0))
        .where(price_activations.c.version == price_books.c.version)
        .scalar_subquery()
    )
    in_force = price_books.c.version == _CURRENT.scalar_subquery()
    return select(price_books.c.version, price_books.c.content, price_books.c.load_us, activated, in_force)


def _keep(connection: Connection, book: PriceBook, now_us: int) -> None:
    row = {"version": book.version, "content": book.content, "load_us": now_us}
    connection.execute(insert(price_books), row)


def _activate(connection: Connection, version: str, now_us: int) -> None:
    connection.execute(insert(price_activations), {"version": version, "activate_us": now_us})
