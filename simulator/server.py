"""One process, one port: the market's websockets, REST and control on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

from aiohttp import web

from lakehouse.errors import CryptolakeError
from lakehouse.settings import SimulatorSettings
from simulator.bybit_rest import BybitRest
from simulator.bybit_socket import BybitSocket
from simulator.coincap_prices import CoincapPrices
from simulator.coingecko import CoinGecko
from simulator.control import Control
from simulator.market import Market
from simulator.rest import Rest
from simulator.sockets import Sockets
from simulator.state import write_atomically

_HOST = "127.0.0.1"
_SHUTDOWN_S = 1.0


async def serve(settings: SimulatorSettings, folder: Path, ledger: Path, port_file: Path | None) -> None:
    """Run the market until SIGTERM or SIGINT.

    Args:
        settings: of the simulator.
        folder: `<home>/simulator`.
        ledger: JSON lines of live trades.
        port_file: gets pid, port, the URLs of all venues and a key for CoinCap's prices once the port is open.

    Raises:
        CryptolakeError: the port is taken, or state and ledger are of another market.
    """
    market = Market(settings, folder, ledger)
    sockets = Sockets(market)
    app = web.Application()
    app.add_routes(
        [
            *sockets.routes(),
            *BybitSocket(market, sockets).routes(),
            *CoincapPrices(market, sockets).routes(),
            *Rest(market).routes(),
            *BybitRest(market).routes(),
            *CoinGecko(market).routes(),
            *Control(market, sockets).routes(),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, _HOST, settings.port)
        try:
            await site.start()
        except OSError as error:
            raise CryptolakeError(f"Port {settings.port} cannot be opened: {error.strerror}", "Use --port 0.") from None
        announced = _announcement(int(runner.addresses[0][1]), settings.coincap_api_key)
        if port_file is not None:
            write_atomically(port_file, announced)
        print(f"simulator: {announced['ws_url']} (pid {announced['pid']})", flush=True)
        await _until_stopped(market)
    finally:
        market.connections.go_away()
        await runner.cleanup()
        market.close()


async def _until_stopped(market: Market) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = asyncio.create_task(market.run())
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, stopping):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task if task not in done or task is running else None


def _announcement(port: int, coincap_api_key: str) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "port": port,
        "ws_url": f"ws://{_HOST}:{port}",
        "rest_url": f"http://{_HOST}:{port}",
        "bybit_ws_url": f"ws://{_HOST}:{port}",
        "bybit_rest_url": f"http://{_HOST}:{port}",
        "coincap_ws_url": f"ws://{_HOST}:{port}",
        "coincap_price_ws_url": f"ws://{_HOST}:{port}",
        "coincap_api_key": coincap_api_key,
        "coingecko_url": f"http://{_HOST}:{port}",
    }
