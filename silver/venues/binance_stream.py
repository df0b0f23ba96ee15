"""Trade frames of Binance's stream, read many at once where their text leaves nothing open.

The stream's own form today: e, E, s, t, p, q, T, m, M in this order, raw or wrapped as on a combined connection. No
value of it holds a comma, so a frame is its parts between commas, and each part is judged as a whole.
"""

from __future__ import annotations

import pyarrow as pa

from lakehouse.selecting import select
from silver.venues.venue import canonical_digits

_CANONICAL = r"""
    WITH split AS (
        SELECT place, string_split(payload, ',') AS parts FROM {rows}
    ), bare AS (
        SELECT place, len(parts) = 10 AS wrapped,
            CASE WHEN len(parts) = 9 AND parts[1] = '{"e":"trade"' THEN parts
                WHEN len(parts) = 10 AND parts[2] = '"data":{"e":"trade"'
                    AND regexp_full_match(parts[1], '\{"stream":"[a-z0-9]{1,40}@trade"') THEN parts[2:]
            END AS parts
        FROM split
    )
    SELECT place, parts[3][6:-2] AS venue_symbol, parts[4][5:] AS trade_key,
        TRY_CAST(parts[5][6:-2] AS DECIMAL(24, 12)) AS price, TRY_CAST(parts[6][6:-2] AS DECIMAL(24, 8)) AS quantity,
        TRY_CAST(parts[7][5:] AS BIGINT) * CASE WHEN len(parts[7]) = 17 THEN 1000 ELSE 1 END AS event_us,
        parts[8] = '"m":true' AS buyer_is_maker
    FROM bare
    WHERE parts IS NOT NULL
        AND regexp_full_match(parts[2], '"E":[1-9][0-9]{12,15}')
        AND regexp_full_match(parts[3], '"s":"[A-Z0-9]{1,40}"')
        AND regexp_full_match(parts[4], '"t":(0|[1-9][0-9]{0,17})')
        AND regexp_full_match(parts[5], '"p":"<price>"')
        AND regexp_full_match(parts[6], '"q":"<quantity>"')
        AND regexp_full_match(parts[7], '"T":[1-9][0-9]{12}([0-9]{3})?')
        AND parts[8] IN ('"m":true', '"m":false')
        AND parts[9] IN (CASE WHEN wrapped THEN '"M":true}}' ELSE '"M":true}' END,
                         CASE WHEN wrapped THEN '"M":false}}' ELSE '"M":false}' END)
""".replace("<price>", canonical_digits(12, 12)).replace("<quantity>", canonical_digits(16, 8))


def canonical_stream(frames: pa.Table) -> pa.Table:
    """Read the canonical ones among trade frames.

    Args:
        frames: `place`, a number, and `payload` as text, valid or not.

    Returns:
        of each frame that is canonical: place, venue_symbol, trade_key (its id as text), price, quantity, event_us
        (UTC) and buyer_is_maker. What a header, a symbol or a limit has to say of it is not asked here.
    """
    return select(_CANONICAL, frames)
