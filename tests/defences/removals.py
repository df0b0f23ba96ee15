"""Every experiment's defence: where it is, how it is taken out, and what was seen then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Edit:
    """A place of the code, which occurs once in its file, and what stands there without the defence."""

    path: str
    held: str
    removed: str


@dataclass(frozen=True)
class Removal:
    """A defence that an experiment needs.

    Args:
        test: the experiment's test.
        defence: what is taken out, as the report says it.
        edits: how.
        seen: how the experiment failed then; empty until it was tried.
        environment: for the run, where the cut in `make test` is too small or none.
    """

    test: str
    defence: str
    edits: tuple[Edit, ...]
    seen: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


WHOLE = {"CRYPTOLAKE_EXPERIMENTS": "all"}

SENT_AGAIN = "records that come back are sent again from the spool (`Publisher._send_again` of bronze/publisher.py)"
SEND_NOTHING_AGAIN = (Edit("bronze/publisher.py", "            self._send_again(producer)\n", ""),)
FILLED = "the ids that were missed are asked for by REST (`Fill` of bronze/fill.py)"
FILL_NOTHING = (
    Edit("bronze/fill.py", "            self._fill_holes()\n            self._probe()\n", "            pass\n"),
)
NO_CAPS = (
    Edit("bronze/venue_socket.py", "self.length > self.max_bytes", "self.length > 2**62"),
    Edit("bronze/venue_socket.py", "self._message_bytes > self._max_message_bytes", "self._message_bytes > 2**62"),
)
NO_DEADLINE = Edit("bronze/venue_socket.py", "        watchdog.start()\n", "")
GO_ON_ANYWHERE = (
    Edit(
        "bronze/land.py",
        "        topics_held = {topic_id for topic_id, _ in self._landed}\n        known =",
        "        return\n        topics_held = {topic_id for topic_id, _ in self._landed}\n        known =",
    ),
)
LATE = "minutes that are closed already are settled anew (`Closing.observe` of silver/closing.py)"
LATE_DROPPED = (
    Edit(
        "silver/closing.py",
        "        for key, version in touched.items():\n            waiting =",
        "        for key, version in touched.items():\n"
        "            if self._closed(key):\n                continue\n            waiting =",
    ),
)
DRAINED = "a start finishes what a step left between two tables (`Pipeline.drain` of cryptolake/pipeline.py)"
NOT_DRAINED = (
    Edit("cryptolake/pipeline.py", "        self._refine.drain()\n        self._aggregate", "        self._aggregate"),
)
FINISHED_FIRST = "a replay first finishes the one that was cut off (`Replay.groups` of silver/replay.py)"
NOT_FINISHED = (Edit("silver/replay.py", "        if self.unfinished():\n", "        if False:\n"),)

REMOVALS = (
    Removal(
        "tests/bronze/test_collecting.py::test_kill_9_of_the_collector_loses_no_trade",
        FILLED,
        FILL_NOTHING,
        seen="ids of all ten symbols were never published",
    ),
    Removal(
        "tests/bronze/test_collecting.py::test_kill_9_between_any_two_steps_loses_no_trade",
        "a start sends what the spool holds and Kafka has not acknowledged (`Publisher` of bronze/publisher.py)",
        (
            Edit("bronze/publisher.py", "AckWindow(spool.acked)", "AckWindow(spool.end)"),
            Edit("bronze/publisher.py", "self._next = spool.acked", "self._next = spool.end"),
        ),
        seen="143 trades of the spool were never published",
    ),
    Removal(
        "tests/bronze/test_broker_gone.py::test_sigterm_with_the_broker_down_ends_in_time_and_keeps_everything",
        "the bounds of the drain (`collector.drain_timeout_s`, `drain_patience_s`)",
        (
            Edit(
                "bronze/collector.py",
                "drain(collector.drain_timeout_s, collector.drain_patience_s)",
                "drain(3600, 3600)",
            ),
        ),
        seen="still running 20 s after SIGTERM",
    ),
    Removal(
        "tests/bronze/test_broker_gone.py::test_kill_9_of_the_broker_loses_no_trade",
        SENT_AGAIN,
        SEND_NOTHING_AGAIN,
        seen="thousands of trades were never published",
    ),
    Removal(
        "tests/bronze/test_broker_gone.py::test_a_frozen_broker_loses_no_trade",
        SENT_AGAIN,
        SEND_NOTHING_AGAIN,
        seen="thousands of trades were never published",
    ),
    Removal(
        "tests/bronze/test_collecting.py::test_a_cut_is_filled_until_ids_are_contiguous",
        FILLED,
        FILL_NOTHING,
        seen="ids around each cut were never published",
    ),
    Removal(
        "tests/bronze/test_collecting.py::test_a_stalled_stream_is_left_for_a_new_one",
        "the watchdog on data (`stall_s`, bronze/connection.py)",
        (Edit("bronze/connection.py", "> self._settings.stall_s:", "> 1e9:"),),
        seen="no second connection within 60 s",
    ),
    Removal(
        "tests/bronze/test_collecting.py::test_a_lost_coincap_connection_is_recorded_as_a_time_gap",
        "the marker of a connection that was lost (`_mark_gap`, bronze/streams.py)",
        (Edit("bronze/streams.py", "            self._mark_gap(connection, record)\n", "            pass\n"),),
        seen="two lost connections, no record of either",
    ),
    Removal(
        "tests/cryptolake/test_gaps_closed.py::test_every_gap_of_ten_minutes_of_cuts_ends_closed",
        "ids that are missing get a row of silver.gaps, from which the back-fill works (`IdGaps.write_found`)",
        (
            Edit(
                "silver/id_gaps.py",
                "        found = self._ids.unstored()\n        if not found:\n            return\n",
                "        return\n",
            ),
        ),
        seen="the audit: ids missing without a row, trades of the ledger that are not in silver",
        environment={"CRYPTOLAKE_TEST_GAPS": "some", "CRYPTOLAKE_TEST_GAPS_S": "60"},
    ),
    Removal(
        "tests/bronze/test_connection.py::test_a_server_that_never_answers_the_upgrade_is_given_up",
        "the timeout and the deadline of the upgrade (bronze/venue_socket.py)",
        (NO_DEADLINE, Edit("bronze/venue_socket.py", "self.settimeout(timeout_s)", "self.settimeout(60)")),
        seen="still connecting after 4 s",
    ),
    Removal(
        "tests/bronze/test_connection.py::test_a_server_that_answers_the_upgrade_byte_by_byte_is_given_up",
        "the deadline of the whole upgrade (bronze/venue_socket.py)",
        (NO_DEADLINE,),
        seen="still connecting after 4 s",
    ),
    Removal(
        "tests/bronze/test_broker_gone.py::test_a_flapping_network_to_the_broker_loses_no_trade",
        SENT_AGAIN,
        SEND_NOTHING_AGAIN,
        seen="more than a thousand trades were never published",
    ),
    Removal(
        "tests/cryptolake/test_flapping.py::test_a_flapping_network_leaves_no_trace",
        SENT_AGAIN,
        SEND_NOTHING_AGAIN,
        seen="the audit: trades of the ledger that are not in silver",
        environment=WHOLE,
    ),
    Removal(
        "tests/cryptolake/test_killed.py::test_nothing_is_lost_or_doubled_whatever_is_killed",
        DRAINED,
        NOT_DRAINED,
        seen="the audit: frames of bronze that are neither in silver nor in quarantine",
        environment={"CRYPTOLAKE_TEST_KILLS": "some"},
    ),
    Removal(
        "tests/silver/test_aggregate.py::test_a_crash_between_two_writes_leaves_the_right_tables_after_the_drain",
        "the mark stays below what waits (`Closing.consumed` of silver/closing.py)",
        (
            Edit(
                "silver/closing.py",
                "        return min([newest, *(version - 1 for version in waiting)])\n",
                "        return newest\n",
            ),
        ),
        seen="the restart took up one version instead of two: what waited was forgotten",
    ),
    Removal(
        "tests/silver/test_refine.py::test_a_crash_between_any_two_writes_loses_and_doubles_nothing",
        "every write of a batch is done once, by its mark (`Refine._append` of silver/refine.py)",
        (
            Edit(
                "silver/refine.py",
                "self._lake.append_rows(table, rows, txn)",
                "self._lake.append_rows(table, rows, txn if table is TRADES else None)",
            ),
        ),
        seen="rows were quarantined twice",
    ),
    Removal(
        "tests/cryptolake/test_backlog.py::test_a_frozen_lake_catches_up_in_bounded_batches",
        "`maxOffsetsPerTrigger` in cryptolake/stream.py",
        (
            Edit(
                "cryptolake/stream.py",
                '        .option("maxOffsetsPerTrigger", settings.lake.max_offsets_per_trigger)\n',
                "",
            ),
        ),
        seen="one batch of all 300,000 where 50,000 are allowed",
        environment=WHOLE,
    ),
    Removal(
        "tests/bronze/test_checkpoint.py::test_a_file_cut_short_anywhere_is_named",
        "the look at whether lines are whole (`_lines` of bronze/checkpoint.py)",
        (Edit("bronze/checkpoint.py", "            raise ValueError(version)\n", "            pass\n"),),
        seen="a commit that was cut short passed for whole",
    ),
    Removal(
        "tests/cryptolake/test_checkpoints.py::test_a_damaged_checkpoint_stops_by_name_or_loses_and_doubles_nothing",
        "offsets that bronze holds are left out (`few_frames_above` of bronze/few_records.py)",
        (Edit("bronze/few_records.py", 'frames.filter(pc.greater(frames["offset"], tops))', "frames"),),
        seen="a batch that was begun again was refused as older than bronze, instead of going on",
        environment=WHOLE,
    ),
    Removal(
        "tests/cryptolake/test_checkpoints.py::test_an_exchanged_checkpoint_stops_by_name",
        "offsets beyond the next one that bronze lacks are refused (`_refuse_skipped` of bronze/land.py)",
        GO_ON_ANYWHERE,
        seen="it went on with the other home's checkpoint",
    ),
    Removal(
        "tests/cryptolake/test_checkpoints.py::test_run_and_single_steps_may_take_turns",
        DRAINED,
        NOT_DRAINED,
        seen="ids are missing in silver",
        environment=WHOLE,
    ),
    Removal(
        "tests/cryptolake/test_topics_changed.py::test_what_a_topic_loses_is_named_before_the_lake_goes_on",
        "a batch that does not begin where bronze ends is refused (`_refuse_skipped` of bronze/land.py)",
        GO_ON_ANYWHERE,
        seen="Spark's own error, and not the offsets that are lost",
    ),
    Removal(
        "tests/bronze/test_two_collectors.py::test_each_trade_is_there_once_whoever_brings_it",
        "copies are judged by what silver holds (`verdicts` of silver/few_copies.py)",
        (Edit("silver/few_copies.py", "WHEN is_known IS NULL AND place = 1 THEN", "WHEN place = 1 THEN"),),
        seen="trades are in silver twice",
    ),
    Removal(
        "tests/cryptolake/test_disorder.py::test_whatever_the_order_every_minute_counts_all_of_its_trades",
        LATE,
        LATE_DROPPED,
        seen="bars lack their late trades",
    ),
    Removal(
        "tests/cryptolake/test_late_trade.py::"
        "test_a_week_late_trade_changes_its_minute_its_five_minutes_and_the_trends_that_contain_it",
        "with a minute the trends that look back on it are made anew (`_settle_trends` of silver/settle.py)",
        (
            Edit(
                "silver/settle.py",
                "for minute in minutes for i in range(MINUTES_BEFORE + 1)}",
                "for minute in minutes for i in range(1)}",
            ),
        ),
        seen="the four trends after that of the minute stayed as they were",
    ),
    Removal(
        "tests/cryptolake/test_corpus_lake.py::"
        "test_in_good_traffic_every_case_is_where_it_must_be_and_the_audit_agrees",
        "a price must be above 0, where frames are read many at once (`_is_good` of silver/few_canonical.py)",
        (Edit("silver/few_canonical.py", 'pc.greater(found["price"], 0)', 'pc.greater_equal(found["price"], 0)'),),
        seen="the table's constraint refused a price of 0, and the batch died of it",
    ),
    Removal(
        "tests/bronze/test_connection.py::test_a_message_beyond_the_cap_ends_the_connection_before_it_is_read",
        "the caps on a frame and on the parts of a message (bronze/venue_socket.py)",
        NO_CAPS,
        seen="read on until the watchdog of data ended it",
    ),
    Removal(
        "tests/bronze/test_connection.py::test_a_message_over_512_kib_goes_out_as_its_head",
        "the marker of what is too long (bronze/frames.py)",
        (Edit("bronze/frames.py", "if len(payload) <= settings.oversize_bytes:", "if True:"),),
        seen="the payload went out as it was",
    ),
    Removal(
        "tests/bronze/test_connection.py::test_64_mib_end_the_connection_and_the_trades_go_on_over_the_next",
        "both caps (bronze/venue_socket.py)",
        NO_CAPS,
        seen="the connection was never ended",
    ),
    Removal(
        "tests/cryptolake/test_schema_drift.py::test_what_a_venue_changes_is_rescued_or_waits_for_its_rule",
        "the strict type of a price (`Fields.quoted_decimal` of silver/fields.py)",
        (
            Edit(
                "silver/fields.py",
                "        if isinstance(value, Number):\n"
                '            self.reasons.append(f"wrong_type:{field}")\n            return None\n'
                "        return quality.checked_decimal(",
                "        value = str(value)\n        return quality.checked_decimal(",
            ),
        ),
        seen="trades with a number for a price were in silver, by a rule that nobody had made",
    ),
    Removal(
        "tests/silver/test_exactness.py::test_every_digit_of_a_million_trades",
        "sums of whole numbers of 128 bits, not of floats (silver/few_bars.py)",
        (Edit("silver/few_bars.py", "TRY_CAST(sum({column}) AS", "TRY_CAST(sum({column}::DOUBLE) AS"),),
        seen="bars differ in their sums",
    ),
    Removal(
        "tests/cryptolake/test_quarantine_replay.py::"
        "test_killed_between_its_writes_and_given_again_it_loses_and_doubles_nothing",
        FINISHED_FIRST,
        NOT_FINISHED,
        seen="what was cut off was not finished",
    ),
    Removal(
        "tests/cryptolake/test_quarantine_replay.py::"
        "test_beside_a_running_owner_it_is_done_between_two_batches_and_corrects_bars_and_trends",
        "nothing is done while a batch that was cut off waits (`_between_whole_batches` of cryptolake/pipeline.py)",
        (
            Edit(
                "cryptolake/pipeline.py",
                "            if self.failure is not None:  # the batch it",
                "            if False:  # the batch it",
            ),
        ),
        seen="the replay was done in spite of the batch that was cut off",
    ),
    Removal(
        "tests/silver/test_replay.py::test_a_replay_cut_off_anywhere_is_finished_by_the_next_one_whatever_it_selects",
        FINISHED_FIRST,
        NOT_FINISHED,
        seen="what was cut off was not finished",
    ),
)
