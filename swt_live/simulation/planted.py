"""Bugs planted on purpose: a harness that does not catch them proves nothing.

Each is a context manager that changes the product's code inside its block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final
from unittest.mock import patch

from swt_broker.client import OandaClient
from swt_core.errors import OutcomeUnknown
from swt_live.desk import OrderDesk
from swt_live.emergency_watch import EmergencyWatch
from swt_live.executor import Executor
from swt_live.ledger import Ledger
from swt_live.reconciler import Reconciler


@contextmanager
def resend_blindly() -> Iterator[None]:
    """An order without an answer is sent again."""
    create = OandaClient.create_order

    async def twice(self: OandaClient, order: Any) -> Any:
        try:
            return await create(self, order)
        except OutcomeUnknown:
            return await create(self, order)

    with patch.object(OandaClient, "create_order", twice):
        yield


@contextmanager
def read_failure_as_flat() -> Iterator[None]:
    """A position query that failed counts as 'flat'."""
    reconcile = Reconciler.reconcile

    async def flat(self: Reconciler, *args: Any, **kwargs: Any) -> Any:
        result = await reconcile(self, *args, **kwargs)
        if not result.ok and self._book.units:
            self._book.adopt(0, 0, 0, 0.0, "")
        return replace(result, ok=True)

    with patch.object(Reconciler, "reconcile", flat):
        yield


@contextmanager
def book_what_was_asked_for() -> Iterator[None]:
    """A fill is booked as the order asked for it."""
    fill = Ledger._fill

    def asked(self: Ledger, transaction: Any, intent: Any, *rest: Any, **named: Any) -> Any:
        units = transaction.units if intent is None else Decimal(intent.units)
        return fill(self, replace(transaction, units=units), intent, *rest, **named)

    with patch.object(Ledger, "_fill", asked):
        yield


@contextmanager
def read_start_once() -> Iterator[None]:
    """START_TRADING and EMERGENCY_STOP are looked at when the process starts, and never again."""
    read = OrderDesk.read_flags

    def once(self: OrderDesk) -> None:
        if not self.flags.readable:
            read(self)

    with patch.object(OrderDesk, "read_flags", once):
        yield


@contextmanager
def journal_after_sending() -> Iterator[None]:
    """The intent is written when the answer has come, or has not."""
    send = Executor._send

    async def later(self: Executor, intent: Any, *args: Any, **kwargs: Any) -> Any:
        database, create = self._journal._db, self._broker.create_order
        where = (intent.client_id,)
        row = tuple(database.execute("SELECT * FROM intents WHERE client_id = ?", where).fetchone())
        database.execute("DELETE FROM intents WHERE client_id = ?", where)

        async def sent_first(request: Any) -> Any:
            try:
                return await create(request)
            finally:
                holes = ", ".join("?" * len(row))
                database.execute(f"INSERT INTO intents VALUES ({holes})", row)  # noqa: S608 - question marks

        with patch.object(self._broker, "create_order", sent_first):
            return await send(self, intent, *args, **kwargs)

    with patch.object(Executor, "_send", later):
        yield


@contextmanager
def watch_off() -> Iterator[None]:
    """EMERGENCY_STOP is looked at between two steps only, however long one waits for an answer."""
    begin = EmergencyWatch.__init__

    def blind(self: EmergencyWatch, directory: Any, clock: Any) -> None:  # noqa: ARG001 - not looked at
        begin(self, directory, None)

    with patch.object(EmergencyWatch, "__init__", blind):
        yield


PLANTS: Final[dict[str, tuple[Callable[[], AbstractContextManager[None]], str]]] = {
    "blind-resend": (resend_blindly, "duplicate_orders"),
    "failed-means-flat": (read_failure_as_flat, "position_drift"),
    "fill-as-asked": (book_what_was_asked_for, "position_drift"),
    "start-read-once": (read_start_once, "trades_while_stopped"),
    "journal-after-send": (journal_after_sending, "lost_intents"),
    "watch-off": (watch_off, "not_flat_after_emergency"),
}
