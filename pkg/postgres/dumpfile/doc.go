// Package dumpfile opens and loads a dump that is not one of our backup sets, such as what older scripts left behind:
// plain SQL or any archive of pg_dump's, perhaps compressed, perhaps encrypted.
//
// The idea is that such a file is hostile until proven otherwise. What it is, its bytes say and never its name (Open).
// That it is whole, and what in it reaches beyond one database, a full pass says before anything is loaded (Examine). And
// what a pass over text cannot see is held by the server: the file is loaded by a role that can do nothing else (Load).
//
// The contract:
//
//   - Nothing here creates, drops or renames a database. Load fills the one that the caller made, and when it fails the
//     caller throws that away. Files that create, drop, change or connect to databases are refused, trusted or not, and so
//     are commands of psql's; other findings, and a plain dump without pg_dump's last line, unless trusted.
//   - A stream of Plain gives io.EOF only after every layer has proven that it is whole. What Load feeds to psql passes the
//     scanner once more on its way, and what Load has read must have been what Examine saw, else it is ErrChanged.
//   - Unless trusted, an administrator's session is never used for what is in the file. Load makes a role with a
//     random name and password, a LOGIN and nothing else, member of no role, that may create in this one database; psql and
//     pg_restore log in as that role, so neither RESET ROLE nor SET SESSION AUTHORIZATION leads anywhere. In the end what
//     was made is given to the role that shall own it, and the temporary role is dropped, also after an error. OWNER TO
//     of the file is left out for that.
//   - The temporary role logs in through the configured address, or through 127.0.0.1 or ::1 where a socket's peer
//     authentication knows operating system users only. Where no login is possible Load says so and loads nothing.
//   - A kill leaves the role behind. It cannot log in after ten minutes, and the next Load drops it once the database that
//     it was filling is gone.
//   - As root, psql runs as the user nobody where it can reach the server as that.
//
// What holds against hostile SQL: the rights of the temporary role, which do not depend on what the scanner sees (a DO
// block can put together any statement at run time); psql's \restrict, where psql has it; and the scanner, which knows
// psql's lexer and refuses what could be read in two ways.
//
// What does not hold: a dump may fill disks and keep the server busy, and may use what PUBLIC may use, extensions that
// are there included. Triggers, functions, defaults and views of a hostile dump are in the database afterwards, owned by an
// ordinary role; who connects to it as a superuser should set search_path to pg_catalog first. When the endpoint is an
// ordinary role that may not create roles, the file is loaded with the rights of that role, which may reach other
// databases that it owns; a warning says so. The files of a directory dump are read by their names: nobody else may
// write to the directory meanwhile.
//
// In a database of thousands of tables, giving them away at the end may need a larger max_locks_per_transaction.
package dumpfile
