"""The network around the broker goes and comes, for the collectors and for the lake: the audit finds no trace of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from experiments import WHOLE, Experiment
from tcp_proxy import ProxiedBroker
from test_killed import finish, pipeline

from cryptolake.audit.run import audit

SECONDS, UP_S, DOWN_S = 120.0, 3.0, 3.0
# What an outage lasts longer than: records come back from the producer, and are to be sent again.
IMPATIENT = {"CRYPTOLAKE__COLLECTOR__DELIVERY_TIMEOUT_MS": "2000"}


@pytest.mark.experiment(
    12,
    fault="the network around the broker gone for 3 s in every 6, refused or silent, for collectors (that give a record"
    " up after 2 s) and Spark",
    holds="I1-I8 by the audit against the ledger of the market",
)
@pytest.mark.skipif(not WHOLE, reason="takes minutes: make experiments")
@pytest.mark.timeout(1200)
def test_a_flapping_network_leaves_no_trace(tmp_path: Path, experiment: Experiment) -> None:
    with pipeline(tmp_path, experiment.seed, broker_of=ProxiedBroker, environment=IMPATIENT) as home:
        assert isinstance(home.broker, ProxiedBroker)
        proxy = home.broker.proxy
        for process in (*home.collectors.values(), home.lake):
            process.start()
        home.await_rows()
        began_s, starts = time.monotonic(), home.lake.starts
        while time.monotonic() - began_s < SECONDS:
            proxy.cut(experiment.chance.choice(("refuse", "silence")))
            time.sleep(DOWN_S)  # the rhythm is the experiment
            proxy.restore()
            time.sleep(UP_S)
            experiment.done()
            if not home.lake.alive:  # without a broker it ends, for a supervisor to start it again
                home.lake.start()
        finish(home)
        results = audit(home.settings, home.market.ledger_path)
        assert [f"{r.name}: {r.examples}" for r in results if not r.passed] == []
        counted = {r.name: r.counted for r in results}
        assert counted["ledger binance"] > 10_000
        experiment.note(
            f"{counted['ledger binance']:,} trades, the lake started {home.lake.starts - starts} times anew"
        )
