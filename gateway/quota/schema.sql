-- What recipients used of the daily quotas of clauses, by UTC day. Reservations that were not settled count as used.
CREATE TABLE IF NOT EXISTS entente_quota (
  agreement text   NOT NULL,
  clause    text   NOT NULL,
  recipient text   NOT NULL,
  day       text   NOT NULL,
  queries   bigint NOT NULL CHECK (queries >= 0),
  records   bigint NOT NULL CHECK (records >= 0),
  granted   bigint NOT NULL,
  PRIMARY KEY (agreement, clause, recipient, day)
);
