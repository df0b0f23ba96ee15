"""From a venue's socket to Kafka: spool and collectors."""

from __future__ import annotations

from lakehouse.settings.section import Section


class SpoolSettings(Section):
    """The write-ahead files between a venue's socket and Kafka.

    Args:
        segment_bytes: a segment file is closed at this size; only whole segments are deleted.
        max_bytes: of all segments of one source; beyond it connections are closed until there is room.
        reserve_bytes: beyond max_bytes, for markers that say what was lost.
        resume_share: connections are opened again below this share of max_bytes.
        fsync_interval_ms: all records of this time share one fsync.
        checkpoint_interval_s: time between two writes of state.json, after which acknowledged segments are deleted.
    """

    segment_bytes: int
    max_bytes: int
    reserve_bytes: int
    resume_share: float
    fsync_interval_ms: int
    checkpoint_interval_s: float


class BackfillSettings(Section):
    """The back-fill of gaps in Binance's ids.

    Args:
        weight_per_minute: it asks for nothing beyond this, the collector's use included, which goes on to
            venues.binance.rest_weight_per_minute: the venue counts all that an address uses.
        wait_s: how long a gap is left to the collector's own fill.
        look_every_s: time between two looks at the table.
        again_s: how long the lake may take to carry what was published, before it is fetched once more.
        attempts: failures in a row after which a single run gives up.
        most_ids: a hole of more ids is not asked for: one absurd id, not a loss, makes such a hole.
        dump_frame_lines: lines of a dump in one frame.
    """

    weight_per_minute: int
    wait_s: float
    look_every_s: float
    again_s: float
    attempts: int
    most_ids: int
    dump_frame_lines: int


class CollectorSettings(Section):
    """The collectors: connections, fills and the Kafka producer.

    Args:
        connect_timeout_s: for TCP, TLS and the upgrade together.
        stall_s: a connection without a data message for this long is closed.
        backoff_s: mean wait before the first new attempt; it doubles with each failure.
        backoff_max_s: the longest mean wait.
        stable_s: a connection that lived this long starts the backoff anew.
        rotate_after_s: age at which a connection is replaced (venues cut at 24 h).
        rotate_patience_s: how long the replacement may take to bring its first data, before it is dropped.
        close_timeout_s: how long what the venue still sends is read after we asked to close.
        max_frame_bytes: a longer message ends the connection.
        oversize_bytes: a longer message is published as its head, length and sha256.
        oversize_head_bytes: length of that head.
        gap_wait_s: how long a missing id may still arrive by itself, before it is fetched.
        gap_slack_s: by how much a recorded disconnect is widened at its start: venues send a few seconds out of order.
        quiet_probe_s: a symbol without a trade for this long is asked for by REST.
        rest_timeout_s: for one REST call.
        fill_backoff_max_s: the longest wait before a failed fill is tried again.
        max_unacked: most records handed to the producer and not yet acknowledged (it has no memory bound itself).
        max_unacked_bytes: the same in bytes.
        publish_interval_ms: what came in this time goes to the producer together; a backlog does not wait.
        linger_ms: how long the producer collects a batch.
        delivery_timeout_ms: after which an unsent record goes back to the spool.
        drain_timeout_s: how long a stopping collector waits for acknowledgements; the rest stays in the spool.
        drain_patience_s: the same, when nothing is acknowledged any more.
        producer_close_timeout_s: how long the producer may take to close.
        publish_stall_s: a replay or backfill gives up when nothing is acknowledged for this long.
        status_interval_s: time between two writes of run/collector-<source>.json.
    """

    connect_timeout_s: float
    stall_s: float
    backoff_s: float
    backoff_max_s: float
    stable_s: float
    rotate_after_s: float
    rotate_patience_s: float
    close_timeout_s: float
    max_frame_bytes: int
    oversize_bytes: int
    oversize_head_bytes: int
    gap_wait_s: float
    gap_slack_s: float
    quiet_probe_s: float
    rest_timeout_s: float
    fill_backoff_max_s: float
    max_unacked: int
    max_unacked_bytes: int
    publish_interval_ms: int
    linger_ms: int
    delivery_timeout_ms: int
    drain_timeout_s: float
    drain_patience_s: float
    producer_close_timeout_s: float
    publish_stall_s: float
    status_interval_s: float
