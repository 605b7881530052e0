-- A bit of everything that an application's database has. Needs no role but the one that loads it.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE SCHEMA reporting;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TYPE point3 AS (x double precision, y double precision, z double precision);

CREATE TABLE forge_template (
	id bigserial PRIMARY KEY,
	title text NOT NULL,
	body text NOT NULL DEFAULT '',
	meta jsonb NOT NULL DEFAULT '{}',
	mood mood,
	weight positive,
	place point3,
	tags text[],
	is_active boolean NOT NULL DEFAULT true,
	created timestamptz NOT NULL DEFAULT now(),
	slug text GENERATED ALWAYS AS (lower(title)) STORED,
	CONSTRAINT title_not_empty CHECK (title <> '')
);
COMMENT ON TABLE forge_template IS 'templates: it''s a test';
COMMENT ON COLUMN forge_template.meta IS E'two\nlines';
CREATE INDEX forge_template_body ON forge_template USING gin (body gin_trgm_ops);
CREATE UNIQUE INDEX forge_template_slug ON forge_template (slug) WHERE is_active;

CREATE TABLE forge_document (
	id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	template_id bigint NOT NULL REFERENCES forge_template ON DELETE CASCADE,
	parent_id integer REFERENCES forge_document,
	content bytea,
	price numeric(12, 2),
	happened tstzrange
);
CREATE TABLE django_migrations (id bigserial PRIMARY KEY, app text NOT NULL, name text NOT NULL, applied timestamptz NOT NULL);
CREATE TABLE "Odd ""name"", with everything" ("order" int, "Column A" text);
CREATE TABLE empty_table (id int PRIMARY KEY);
CREATE TABLE no_columns ();

CREATE TABLE event (id bigint NOT NULL, at date NOT NULL, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE event_2025 PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE event_2026 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE event_rest PARTITION OF event DEFAULT;

CREATE SEQUENCE standalone INCREMENT BY -5 START 1000 MINVALUE -1000000 MAXVALUE 1000;

INSERT INTO forge_template (title, body, meta, mood, weight, place, tags)
SELECT 'Template ' || i, repeat('lorem ipsum ' || i || E' dolor \\ sit\tamet\n', 20), jsonb_build_object('n', i, 'ok', i % 2 = 0),
	(ARRAY['sad', 'ok', 'happy'])[1 + i % 3]::mood, i, ROW(i, i / 2.0, -i)::point3, ARRAY['a' || i, NULL, 'ü']
FROM generate_series(1, 500) i;
INSERT INTO forge_document (template_id, parent_id, content, price, happened)
SELECT 1 + i % 500, nullif(i / 2, 0), decode(md5(i::text), 'hex'), i / 7.0, tstzrange('2026-01-01', '2026-01-01'::timestamptz + i * interval '1 hour')
FROM generate_series(1, 2000) i;
INSERT INTO django_migrations (app, name, applied) VALUES ('contenttypes', '0001_initial', '2025-01-01'), ('forge', '0042_template_slug', '2026-11-01');
INSERT INTO "Odd ""name"", with everything" VALUES (1, 'x'), (2, NULL);
INSERT INTO event SELECT i, '2024-12-01'::date + i, 'note ' || i FROM generate_series(1, 700) i;
SELECT nextval('standalone'), nextval('standalone');

CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.created := now(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON forge_template FOR EACH ROW EXECUTE FUNCTION touch();
CREATE PROCEDURE reporting.refresh() LANGUAGE sql AS $$ SELECT 1 $$;
CREATE VIEW active AS SELECT id, title FROM forge_template WHERE is_active;
CREATE MATERIALIZED VIEW reporting.totals AS SELECT template_id, count(*) AS n, sum(price) AS price FROM forge_document GROUP BY 1;
CREATE UNIQUE INDEX totals_key ON reporting.totals (template_id);
CREATE MATERIALIZED VIEW reporting.grand AS SELECT sum(n) AS n FROM reporting.totals;
CREATE RULE quiet AS ON DELETE TO empty_table DO INSTEAD NOTHING;

SELECT lo_from_bytea(0, decode(repeat('cafe', 5000), 'hex'));
SELECT lo_from_bytea(0, '');
