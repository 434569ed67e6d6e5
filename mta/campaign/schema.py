"""The tables of campaigns, in the database of the audience.

``people`` has who was in the audience when the campaign began, each once: the contact's number, no address.
Before a message is handed over, its queue id stands here with the piece that it belongs to; a worker that
dies leaves the piece open, and at its next start the journal is asked which of the ids are there.
"""

from __future__ import annotations

from mta.registry.schema import Tables

#: How one person of a campaign stands.
WAITING, CLAIMED, TAKEN, SUPPRESSED, REFUSED, GONE = range(6)
#: By number, in words.
PERSON_STATES = ("waiting", "handed over just now", "sent", "suppressed", "refused", "left")

TABLES = Tables(
    "campaigns",
    (
        (
            """CREATE TABLE campaigns (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                tenant TEXT NOT NULL,
                name TEXT NOT NULL,
                state TEXT NOT NULL,
                definition TEXT NOT NULL,
                created REAL NOT NULL,
                changed REAL NOT NULL,
                begins REAL NOT NULL DEFAULT 0,
                started REAL NOT NULL DEFAULT 0,
                ended REAL NOT NULL DEFAULT 0,
                reason TEXT NOT NULL DEFAULT '',
                who TEXT NOT NULL DEFAULT '',
                hold INTEGER NOT NULL DEFAULT 0,
                epoch INTEGER NOT NULL DEFAULT 0,
                bundles TEXT NOT NULL DEFAULT '',
                prepared INTEGER NOT NULL DEFAULT 0,
                reached INTEGER NOT NULL DEFAULT 0,
                total INTEGER NOT NULL DEFAULT 0,
                active REAL NOT NULL DEFAULT 0,
                looked REAL NOT NULL DEFAULT 0,
                credit REAL NOT NULL DEFAULT 1,
                tested REAL NOT NULL DEFAULT 0,
                chosen INTEGER NOT NULL DEFAULT -1,
                decision TEXT NOT NULL DEFAULT ''
            )""",
            "CREATE UNIQUE INDEX campaigns_name ON campaigns (tenant, name)",
            "CREATE INDEX campaigns_state ON campaigns (state)",
            """CREATE TABLE campaign_people (
                campaign INTEGER NOT NULL,
                contact INTEGER NOT NULL,
                variant INTEGER NOT NULL,
                part INTEGER NOT NULL,
                due REAL NOT NULL,
                state INTEGER NOT NULL DEFAULT 0,
                piece TEXT NOT NULL DEFAULT '',
                message TEXT NOT NULL DEFAULT '',
                why TEXT NOT NULL DEFAULT '',
                PRIMARY KEY (campaign, contact)
            ) WITHOUT ROWID""",
            "CREATE INDEX campaign_people_waiting ON campaign_people (campaign, part, due) WHERE state = 0",
            "CREATE INDEX campaign_people_piece ON campaign_people (piece) WHERE state = 1",
            """CREATE TABLE campaign_pieces (
                id TEXT PRIMARY KEY,
                campaign INTEGER NOT NULL,
                shard INTEGER NOT NULL,
                at REAL NOT NULL,
                active REAL NOT NULL,
                count INTEGER NOT NULL,
                open INTEGER NOT NULL
            ) WITHOUT ROWID""",
            "CREATE INDEX campaign_pieces_active ON campaign_pieces (campaign, active)",
            "CREATE INDEX campaign_pieces_open ON campaign_pieces (shard) WHERE open = 1",
            """CREATE TABLE campaign_waves (
                campaign INTEGER NOT NULL,
                part INTEGER NOT NULL,
                due REAL NOT NULL,
                total INTEGER NOT NULL,
                gone INTEGER NOT NULL DEFAULT 0,
                begun REAL,
                PRIMARY KEY (campaign, part, due)
            ) WITHOUT ROWID""",
            # Which shards have done to their queues what a change of state asks of them.
            """CREATE TABLE campaign_applied (
                campaign INTEGER NOT NULL,
                shard INTEGER NOT NULL,
                epoch INTEGER NOT NULL,
                PRIMARY KEY (campaign, shard)
            ) WITHOUT ROWID""",
        ),
        (
            # What a pause has held, by shard; see mta.campaign.held.
            """CREATE TABLE campaign_held (
                campaign INTEGER NOT NULL,
                shard INTEGER NOT NULL,
                message TEXT NOT NULL,
                PRIMARY KEY (campaign, shard, message)
            ) WITHOUT ROWID""",
            """INSERT INTO campaign_held SELECT a.campaign, a.shard, '' FROM campaign_applied a
                JOIN campaigns c ON c.id = a.campaign WHERE c.hold = 1""",
            # What had come of a campaign when it was resumed after it had paused by itself.
            """CREATE TABLE campaign_guard (
                campaign INTEGER PRIMARY KEY,
                halted INTEGER NOT NULL,
                delivered INTEGER NOT NULL DEFAULT 0,
                bounced INTEGER NOT NULL DEFAULT 0,
                complained INTEGER NOT NULL DEFAULT 0
            )""",
        ),
    ),
)
