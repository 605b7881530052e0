// Package bloat says how much of a table or an index is dead space: what
// VACUUM FULL or REINDEX would give back.
//
// There are two ways to know. An estimate compares the size with what the live
// rows need by the statistics of ANALYZE: it costs nothing and reads no data.
// With the extension pgstattuple, in whichever schema it is, the pages themselves
// can be read ([Filter.Exact]): true, but as expensive as a scan of everything. Of
// a GIN index neither is possible; with the extension pg_freespacemap its
// entirely free pages are counted, which is the least that it would give back.
//
// Each figure says how it was found ([How]), and where nothing can be said, why
// ([Space.Why]): it is never 0 for "unknown". Estimates are cautious: they
// rather miss dead space than invent it.
//
// Nothing is changed and no lock is waited for: of a relation that somebody holds
// exclusively, the size is the one that the last VACUUM or ANALYZE noted. No
// superuser is needed: pg_monitor for pgstattuple, and for an estimate SELECT on
// the table, because the server shows statistics only to those who may read it.
package bloat
