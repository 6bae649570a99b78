"""What exists while the service runs. Each `async with` opens after what it needs; reading it backwards is the stop.

logs · loop · signals
  └ embedded ClickHouse (or a URL)            supervised: a child that dies is started again
      └ store clients, one a user             ingest, migrate, query
          └ pipeline                          lanes and flushers
              └ doors                         8080 first, so that /ready can say what is missing; then 4317-4319
                  └ schema, then ready file   the doors answer 503 until the schema is there
"""

from __future__ import annotations
