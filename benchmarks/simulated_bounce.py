"""What a model can find on the simulated market: how often the last traded minute is reversed in the next six.

`python -m benchmarks.simulated_bounce` prints a line a symbol and the means; docs/models.md quotes them.
"""

from __future__ import annotations

import numpy as np

from lakehouse.settings import load_settings
from simulator.catalogue import CATALOGUE, Symbol
from simulator.past import Past
from simulator.paths import US_A_DAY, Paths

SEED = 7
START_US = 20_000 * US_A_DAY  # 2024-10-04
MINUTE_US = 60_000_000
MINUTES = 2 * 1440
AHEAD = 6


def reversal_and_autocorrelation(symbol: Symbol, past: Past, paths: Paths) -> tuple[float, float]:
    """How often closes turn round within six minutes, and how middle prices of these spans go together."""
    trades = past.between(symbol, START_US, START_US + MINUTES * MINUTE_US)
    last = np.full(MINUTES, np.nan)
    last[(trades.time_us - START_US) // MINUTE_US] = trades.ticks  # the last of a minute stays
    known = np.where(np.isnan(last), 0, np.arange(MINUTES))
    closes = np.log(last[np.maximum.accumulate(known)])
    middles = paths.log_mid(symbol, START_US + MINUTE_US * (np.arange(MINUTES) + 1))
    before, after = np.diff(closes)[:-AHEAD], (closes[AHEAD:] - closes[:-AHEAD])[1:]
    moved = (before != 0) & (after != 0)
    turned = float((np.sign(before[moved]) != np.sign(after[moved])).mean())
    ahead = (middles[AHEAD:] - middles[:-AHEAD])[1:]
    return turned, float(np.corrcoef(np.diff(middles)[:-AHEAD], ahead)[0, 1])


def main() -> None:
    """Print the figures."""
    market = load_settings().simulator.market
    paths = Paths(SEED, market)
    past = Past(SEED, market, paths)
    found = {symbol.name: reversal_and_autocorrelation(symbol, past, paths) for symbol in CATALOGUE[:20]}
    for name, (turned, together) in found.items():
        print(f"{name:10} reversed {turned:6.1%}  autocorrelation of the middle {together:+.3f}")
    means = np.mean(list(found.values()), axis=0)
    print(f"{'mean':10} reversed {means[0]:6.1%}  autocorrelation of the middle {means[1]:+.3f}")


if __name__ == "__main__":
    main()
