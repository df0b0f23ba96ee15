"""What every thread that fetches by REST into a spool has in common: how it ends."""

from __future__ import annotations

import logging
import threading

from bronze.rest import RestClient
from bronze.spool import SpoolClosedError

log = logging.getLogger(__name__)


class Fetching(threading.Thread):
    """Fetches until it is stopped or the spool closes; what else ends it is kept as its `error`.

    Args:
        name: of the thread.
        doing: what it does, for the log.
        rest: asked by it alone, and closed with it.
    """

    def __init__(self, name: str, doing: str, rest: RestClient) -> None:
        super().__init__(name=name, daemon=True)
        self.error: BaseException | None = None
        self._doing = doing
        self._rest = rest

    def run(self) -> None:
        """Fetch until stopped."""
        try:
            self._fetch_on()
        except SpoolClosedError:
            pass
        except Exception as error:
            log.exception("%s failed", self._doing)
            self.error = error
        finally:
            self._rest.close()

    def _fetch_on(self) -> None:
        """Fetch until stopped, each in its own way."""
        raise NotImplementedError
