-- Event triggers that would forbid the very load, of another superuser.
CREATE TABLE log (what text, at timestamptz DEFAULT now()); CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.log (what) VALUES (tg_tag); END $$;
CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no % here', tg_tag; END $$;
CREATE EVENT TRIGGER a_notes ON ddl_command_end EXECUTE FUNCTION note();
CREATE EVENT TRIGGER b_forbids ON ddl_command_start WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE INDEX', 'DROP TABLE') EXECUTE FUNCTION forbid();
CREATE EVENT TRIGGER c_off ON sql_drop EXECUTE FUNCTION note();
ALTER EVENT TRIGGER c_off DISABLE;
CREATE EVENT TRIGGER d_rewrite ON table_rewrite EXECUTE FUNCTION forbid();
ALTER EVENT TRIGGER d_rewrite ENABLE REPLICA;
ALTER EVENT TRIGGER a_notes OWNER TO hard_super;
COMMENT ON EVENT TRIGGER b_forbids IS 'forbids';
