// Package postgres holds connection facts: where a PostgreSQL server is, as
// whom to talk to it, which version it has, and which client programs fit it.
//
// A Target is what an operator configured (a URL or a keyword/value string,
// perhaps a password). Resolve turns it into an Endpoint: one host, one role,
// one database, every default filled in by the rules of libpq (PG* variables,
// service files and ~/.pgpass included, which pgx reads). From an Endpoint come both our own
// connections (Connect) and what a child such as pg_dump needs to reach the
// very same server (Conninfo and Passfile), so that a snapshot exported by one
// can be imported by the other.
//
// No password ever leaves an Endpoint except through Passfile; String, errors
// and Conninfo carry none. Nothing here changes a server.
package postgres
