// What the SQL page remembers: its text for this tab (it may hold secrets), its switch for this browser. It must not know
// the page.

const TEXT = "thalweg.sql.text";
const LIVE = "thalweg.sql.live";

const WELCOME = `-- Ctrl+Enter runs the statement at the cursor. Results of queries stay live.
SELECT name, relation_type FROM thalweg_catalog.relations ORDER BY name;

CREATE SOURCE clicks (
  page varchar, visitor bigint, at timestamptz,
  WATERMARK FOR at AS at - INTERVAL '5 seconds'
);

CREATE MATERIALIZED VIEW pages AS
  SELECT page, count(*) AS views, count(DISTINCT visitor) AS visitors
  FROM clicks GROUP BY page;

-- Send rows: curl localhost:4567/v1/ingest/clicks -H 'content-type: application/x-ndjson' -d '{"page":"/","visitor":1}'
SELECT * FROM pages ORDER BY views DESC;
`;

export function keptText(): string {
  return sessionStorage.getItem(TEXT) ?? WELCOME;
}

export function keepText(text: string): void {
  sessionStorage.setItem(TEXT, text);
}

export function keptLive(): boolean {
  return localStorage.getItem(LIVE) !== "no";
}

export function keepLive(live: boolean): void {
  localStorage.setItem(LIVE, live ? "yes" : "no");
}
