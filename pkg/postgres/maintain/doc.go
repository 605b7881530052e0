// Package maintain vacuums, analyzes and rebuilds what needs it in one database,
// so that the application does not notice.
//
//	plan, err := maintain.MakePlan(ctx, options) // changes nothing
//	result, err := maintain.Run(ctx, options)    // plans, confirms, works, measures
//
// A table that somebody holds a lock on is not waited for longer than
// Options.LockTimeout; it is tried once more when all others are done, and then
// named. Only the acquisition of locks is bounded so, never the work: that ends
// with its context. What the role may not do is found in the catalog before
// anything is tried, and comes with the statement that mends it.
//
// When the context ends, the server is told to cancel what runs and is waited
// for. A VACUUM keeps what it has done, a VACUUM FULL and a plain REINDEX are
// rolled back, and what a REINDEX CONCURRENTLY has left is removed, or named if
// that cannot be. The Result then says what became of each table, together with
// the error.
//
// Nothing here waits without bound for a lock that others would queue behind.
package maintain
