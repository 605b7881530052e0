// Package insight looks at a running server and says what an operator should know
// of it: indexes that are of no use or missing, statements that cost most, who is
// connected and who waits for whom, and what takes the space.
//
// Open begins a [Session]; each report is one method, which asks the server in a
// read-only transaction of its own under a timeout. Nothing is changed, but by
// [Session.Terminate], which ends the sessions of a plan that somebody has
// confirmed. A report carries its findings, each with the statement that mends it
// and the one that takes that back; carrying them out is for people.
//
// No superuser is needed. What a role without pg_monitor does not see is named in
// the notes of a report together with the GRANT. Statistics are the server's own:
// they begin anew with a reset, a restore or a promotion. Where a report says since
// when something was watched, that rests on what pkg/remember has kept.
//
// Texts of statements are shown without their quoted constants ([Mask]).
package insight
