"""The account's transaction log: numbered from 1, in batches, every entry as its JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from swt_broker.times import format_time

JSONObject = dict[str, Any]


class TransactionLog:
    """Append-only; listeners (the transaction stream) hear of each entry."""

    def __init__(self, account_id: str, user_id: int) -> None:
        self.entries: list[JSONObject] = []
        self.times_s: list[float] = []
        self.listeners: list[Callable[[JSONObject], None]] = []
        self._account_id = account_id
        self._user_id = user_id
        self._batch_first: int | None = None
        self._request_id: str | None = None

    @property
    def last_id(self) -> int:
        """Id of the newest entry; 0 for none."""
        return len(self.entries)

    @property
    def next_id(self) -> int:
        """The id that the next entry will get."""
        return len(self.entries) + 1

    def begin_batch(self, request_id: str | None) -> int:
        """What follows happens at one instant, for one request; returns the batch's first id."""
        self._batch_first = self.next_id
        self._request_id = request_id
        return self._batch_first

    def add(self, time_s: float, kind: str, **fields: Any) -> JSONObject:
        """Append one transaction; fields that are None are left out."""
        entry: JSONObject = {
            "id": str(self.next_id),
            "accountID": self._account_id,
            "userID": self._user_id,
            "batchID": str(self._batch_first or self.next_id),
            "time": format_time(time_s),
            "type": kind,
        }
        if self._request_id is not None:
            entry["requestID"] = self._request_id
        entry |= {key: value for key, value in fields.items() if value is not None}
        self.entries.append(entry)
        self.times_s.append(time_s)
        for listener in self.listeners:
            listener(entry)
        return entry

    def since(self, transaction_id: int) -> list[JSONObject]:
        """Entries after an id."""
        return self.entries[transaction_id:]

    def related(self, first_id: int) -> list[str]:
        """Ids of a batch that began at ``first_id``."""
        return [str(i) for i in range(first_id, self.next_id)]

    def __iter__(self) -> Iterator[JSONObject]:
        return iter(self.entries)
