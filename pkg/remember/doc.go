// Package remember keeps what was measured, so that the next run can say what
// has become of it: sizes, counters of statistics, how long something took.
//
// A [Store] is a directory. Each [Subject] (a server, a database in it, a kind of
// measurement) has one file of JSON lines there: a head with the version of the
// layout and the subject, then an entry on each line, oldest first. Files are
// replaced whole, so a reader sees the old one or the new one, and writers wait
// for one another. What grows is bounded ([Keep]).
//
// Nothing here is needed for anything else than a comparison: a line that cannot
// be read is left out, a file that cannot be read is set aside by the next
// [Add], and both are said in notes and never an error. An error is a directory
// that cannot be read or written, or a file that a newer version has written,
// which is left alone.
package remember
