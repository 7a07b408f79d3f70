"""What all requests share: the models, the threads that compute, who may ask, and how much is under way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mirrorkit.errors import MirrorkitError
from mirrorkit.serving.bell import Bell
from mirrorkit.serving.keys import Keys, read_keys
from mirrorkit.serving.metrics import Metrics
from mirrorkit.serving.pool import Pool
from mirrorkit.serving.refused import RefusedError, Why
from mirrorkit.serving.served import Models, Served, open_models
from mirrorkit.serving.settings import Settings

if TYPE_CHECKING:
    from mirrorkit.serving.searching import Searching

log = logging.getLogger(__name__)


class Service:
    """A server's state. Keys, models and search are each replaced as a whole: a request sees one or the other."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.keys: Keys = read_keys(settings)
        self.models: Models = open_models(settings)
        self.search = _search(settings, self.models)
        self.bell = Bell()
        self.stopping = False
        self.held = 0  # bytes of requests that are not answered yet
        threads = max(served.encoding.runner.callers for served in self.models)
        self.pool = Pool(threads, self.metrics.ran)
        self.metrics.watch(lambda: self.pool.waiting, lambda: self.held)
        self._turn = threading.Lock()  # of the two that follow
        self._reloading = False
        self._asked_again = False

    def warm_up(self) -> None:
        """Open what the first request under load would have to wait for, and encode what is searched."""
        _open_for_callers(self.models)
        if self.search is None:
            return
        try:
            self.search.build(self.pool)
            log.info("search: %d passages are ready", self.search.passages)
        except MirrorkitError as err:
            log.error("search: %s", err)
        except Exception:
            log.exception("search: the passages could not be encoded")

    def reload(self) -> None:
        """Open bundles and keys anew, and serve those from then on; where that fails, all stays as it was.

        Requests that are under way end with what they began with. Who asks while a reload is under way has changed
        something that it may have read already: another one follows.
        """
        with self._turn:
            self._asked_again = True
            if self._reloading:
                return
            self._reloading = True
        while self._next_reload():
            self._open_anew()

    def _next_reload(self) -> bool:
        with self._turn:
            self._reloading, self._asked_again = self._asked_again, False
            return self._reloading

    def _open_anew(self) -> None:
        try:
            keys, models = read_keys(self.settings), open_models(self.settings)
            if self.keys and not keys:
                raise MirrorkitError("there is no key any more")  # it would open the server to everybody
            search = _search(self.settings, models)
            _open_for_callers(models)  # before anybody has to wait for it
            if search is not None:
                search.build(self.pool)
            changed = {s.id: s.fingerprint for s in models} != {s.id: s.fingerprint for s in self.models}
            self.keys, self.models, self.search = keys, models, search
            log.warning("reloaded: %s", "other models" if changed else "the same models")
        except MirrorkitError as err:
            log.error("reload: %s; serving what was open before", err)
        except Exception:
            log.exception("reload failed; serving what was open before")

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """Account for what a request takes, until it is answered."""
        held = Hold(self)
        try:
            yield held
        finally:
            held.release()

    def overloaded(self) -> RefusedError:
        """Return the refusal of a request that there is no room for, with when to try again."""
        seconds = self.pool.seconds_left()
        return RefusedError(
            Why.OVERLOADED,
            f"The server has as much to do as it takes on; try again in {seconds} s.",
            headers={"Retry-After": str(seconds)},
        )


def _search(settings: Settings, models: Models) -> Searching | None:
    """Return what is searched, if anything: most servers start without reading what that needs."""
    if not settings.search:
        return None
    from mirrorkit.serving.searching import open_search

    return open_search(settings, models)


def _open_for_callers(models: Iterable[Served]) -> None:
    for served in models:
        if served.encoding.runner.callers > 1:
            served.encoding.runner.for_callers()


class Hold:
    """The bytes that one request takes."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._bytes = 0

    def more(self, count: int) -> None:
        """Take so many bytes more; raises RefusedError where all requests together have too many."""
        service = self._service
        if service.held + count > service.settings.limits.held_bytes:
            raise service.overloaded()
        service.held += count
        self._bytes += count

    def release(self) -> None:
        self._service.held -= self._bytes
        self._bytes = 0
