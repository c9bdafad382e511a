-- The roles of one installation. Roles belong to a whole server, so their names end in the name of the database:
--   callvault_app_<db>          what the serving process may do; its login role is a member
--   callvault_audit_owner_<db>  owns the access log; nobody logs in as it, and only the migrating role may become it
--   callvault_officer_<db>      reads the access log without the application
--   callvault_retention_<db>    removes bodies of the log after the legal floor
-- None of them can log in. Run by a superuser, or by the database's owner with CREATEROLE. PostgreSQL 16 or newer.

DO $$
DECLARE
  installation text := current_database();
  kind text;
  wanted text;
  existing pg_catalog.pg_roles%ROWTYPE;
BEGIN
  IF current_setting('server_version_num')::int < 160000 THEN
    RAISE EXCEPTION 'Callvault needs PostgreSQL 16 or newer, this server is %', current_setting('server_version');
  END IF;
  -- Longer names would be cut at 63 bytes, and two installations could then share a role.
  IF octet_length(installation) > 41 THEN
    RAISE EXCEPTION 'the database name % is longer than 41 bytes: role names are made from it', installation;
  END IF;

  FOREACH kind IN ARRAY ARRAY['app', 'audit_owner', 'officer', 'retention'] LOOP
    wanted := format('callvault_%s_%s', kind, installation);
    SELECT * INTO existing FROM pg_catalog.pg_roles WHERE rolname = wanted;
    IF NOT FOUND THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', wanted);
    ELSIF existing.rolcanlogin OR existing.rolsuper OR existing.rolcreatedb OR existing.rolcreaterole
       OR existing.rolreplication OR existing.rolbypassrls THEN
      RAISE EXCEPTION 'role % exists and can do more than a group role of Callvault may: drop it or rename it', wanted;
    END IF;
  END LOOP;

  -- Whoever migrates may become the owner of the log to change its schema, and inherits nothing from it in between.
  -- A superuser may anyway.
  IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
    EXECUTE format('GRANT %I TO CURRENT_USER WITH INHERIT FALSE, SET TRUE', 'callvault_audit_owner_' || installation);
  END IF;

  -- The database is this installation's alone: nobody connects, makes temporary tables or looks around by default.
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', installation);
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I, %I, %I', installation,
    'callvault_app_' || installation, 'callvault_officer_' || installation, 'callvault_retention_' || installation);
  REVOKE ALL ON SCHEMA public FROM PUBLIC;
  EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', 'callvault_app_' || installation);
END
$$;
