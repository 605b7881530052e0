// Package pgdump takes a database out through pg_dump and puts it back through
// pg_restore, and says of both sides exactly what they hold.
//
// The idea is one database at one moment. OpenGuard locks every table that will
// be dumped, then exports a snapshot, and keeps both until Close: in between
// nothing that would change what pg_dump, the row counts and the large objects
// see can happen, and Close proves that it did not. Every dump, every count and
// every catalog query of a backup imports that snapshot.
//
// A dump is three custom-format archives (pre-data, data, post-data), streamed,
// never touching a disk here; ReadTOC and Inspect read their table of contents
// and walk their blocks without pg_restore.
//
// A Fingerprint says what the archives must contain: the rows of exactly the
// tables that have a TABLE DATA entry, the values of sequences, the number and
// bytes of large objects. Compare holds it against another database.
package pgdump
