"""Transactions and locks.

DuckDB gives a transaction one snapshot, and refuses what conflicts. Here a transaction is READ COMMITTED, and waits: tables are
locked before DuckDB is asked, and where others have committed to a table since the snapshot, DuckDB's transaction is begun anew
and what was done in it is done once more. What that repetition reads from other tables may be newer than what was read at first.
"""

import itertools
import threading
import time

import duckdb

from strict import settings, statements
from strict.errors import refused

# The maximum number of statements that wait for one table.
WAITERS = 20

# How long an idle transaction may block another, in seconds. A user can have another limit.
IDLE = 300

numbers = itertools.count(1_700_000_000_000_000_000, 1_000_000)


class Transaction:
    def __init__(self):
        self.id = next(numbers)
        # Whether it has begun in DuckDB, and when.
        self.begun, self.snapshot = False, 0
        # Its statements, to be repeated.
        self.done, self.written = [], set()


class Commits:
    """The time of the last commit to each table."""

    def __init__(self):
        self.lock, self.number, self.last = threading.Lock(), 0, {}

    def note(self, tables):
        with self.lock:
            self.number += 1
            self.last.update(dict.fromkeys(tables, self.number))

    def is_newer(self, tables, than):
        with self.lock:
            return any(self.last.get(table, 0) > than for table in tables)


class Locks:
    def __init__(self):
        self.changed = threading.Condition()
        self.holders, self.waiters = {}, {}

    def acquire(self, session, table):
        with self.changed:
            if self.holders.get(table, session) is session and not self.waiters.get(table):
                self.holders[table] = session
                return
            queue = self.waiters.setdefault(table, [])
            if self.holders.get(table) is not session:
                if len(queue) >= WAITERS:
                    raise locked(table, "the number of waiters for this lock exceeds the 20 statements limit")
                self.wait(session, table, queue)
            self.holders[table] = session

    def wait(self, session, table, queue):
        began, limit = time.monotonic(), float(session.parameters["LOCK_TIMEOUT"])
        queue.append(session)
        session.waits_for = table
        try:
            while self.holders.get(table) is not None or queue[0] is not session:
                if session.ended:
                    raise refused(390111, "08001", "Session no longer exists.  New login required.")
                if session.canceled:
                    raise refused(604, "57014", "SQL execution canceled")
                if self.is_deadlock(session, table):
                    raise locked(table, "it is part of a deadlock")
                if time.monotonic() - began >= limit:
                    raise locked(table, "it has waited for this lock as long as LOCK_TIMEOUT says")
                settings.check_time(session)
                if (holder := self.holders.get(table)) is not None:
                    self.abort_idle(holder)
                self.changed.wait(0.02)
        finally:
            queue.remove(session)
            session.waits_for = None
            self.changed.notify_all()

    def is_deadlock(self, session, table):
        holder, seen = self.holders.get(table), set()
        while holder is not None and holder not in seen and holder.waits_for is not None:
            seen.add(holder)
            holder = self.holders.get(holder.waits_for)
            if holder is session:
                return True
        return False

    def abort_idle(self, holder):
        """Aborts an idle transaction that blocks another one, as Snowflake does."""
        if time.monotonic() - holder.last_active < float(settings.of_user(holder.user).get("IDLE", IDLE)):
            return
        if holder.busy.acquire(blocking=False):
            try:
                abort(holder)
            finally:
                holder.busy.release()

    def release(self, session):
        with self.changed:
            for table in [table for table, holder in self.holders.items() if holder is session]:
                del self.holders[table]
            self.changed.notify_all()


commits, locks, definitions = Commits(), Locks(), threading.Lock()


def locked(table, why):
    return refused(
        625,
        "57014",
        f"A statement of another transaction has locked table '{table[2]}', and this lock has not yet been released.\n"
        f"Your statement was aborted because {why}.",
    )


def abort(session, silently=False):
    """Rolls back a session's transaction on the server's initiative."""
    if session.transaction is not None:
        session.lost = None if silently else session.transaction.id
        end(session, keep=False)


def finish(session, keep):
    while True:
        try:
            return session._duck_conn.commit() if keep else session._duck_conn.rollback()
        except duckdb.ResourceInUseException:
            time.sleep(0.001)  # the server still queries the columns of the last result
        except duckdb.TransactionException as error:
            if "no transaction is active" not in str(error):
                raise
            return None


def end(session, keep):
    """Commits or rolls back a session's transaction, if there is one."""
    transaction, session.transaction = session.transaction, None
    if transaction is None:
        return
    try:
        if transaction.begun:
            finish(session, keep)
        if keep:
            commits.note(transaction.written)
    finally:
        locks.release(session)


def begin(session):
    number = commits.number
    session._duck_conn.begin()
    return number


def repeat(session, transaction):
    """Restarts DuckDB's transaction and replays its statements."""
    if transaction.begun:
        finish(session, keep=False)
    transaction.begun, transaction.snapshot = False, 0
    if transaction.done:
        transaction.snapshot, transaction.begun = begin(session), True
        for work in transaction.done:
            work(session.cursor())


def change(cursor, session, statement, work):
    """Runs a statement that changes tables."""
    named = [statements.key(table, session) for table in statement.tables]
    written = {statements.key(table, session) for table in statement.targets()}
    transaction = session.transaction
    if transaction is None and not settings.is_true(session.parameters["AUTOCOMMIT"]):
        transaction = session.transaction = Transaction()
    try:
        for table in sorted(statements.key(table, session) for table in statement.locks()):
            locks.acquire(session, table)
        if transaction is None:
            begin(session)
            try:
                work(cursor)
            except duckdb.TransactionException as error:
                finish(session, keep=False)
                if "single attached database" not in str(error):
                    raise
                # fakesnow's own tables are in another database: the statement has to be run in steps.
                work(cursor)
            except BaseException:
                finish(session, keep=False)
                raise
            finish(session, keep=True)
            commits.note(written)
            return
    finally:
        if transaction is None:
            locks.release(session)
    if transaction.begun and commits.is_newer(named, transaction.snapshot):
        repeat(session, transaction)
    if not transaction.begun:
        transaction.snapshot, transaction.begun = begin(session), True
    try:
        work(cursor)
    except BaseException:
        # DuckDB rolls back everything; Snowflake only this statement.
        repeat(session, transaction)
        raise
    transaction.done.append(work)
    transaction.written |= written


def query(cursor, session, statement, work):
    """Runs a statement that changes nothing."""
    transaction = session.transaction
    if transaction is None or not transaction.begun:
        return work(cursor)
    named = [statements.key(table, session) for table in statement.tables]
    if commits.is_newer(named, transaction.snapshot):
        repeat(session, transaction)
    try:
        return work(cursor)
    except BaseException:
        repeat(session, transaction)
        raise


def define(cursor, session, work):
    """Runs a DDL statement, which is its own transaction."""
    end(session, keep=True)
    with definitions:
        return work(cursor)
