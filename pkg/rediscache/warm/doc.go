// Package warm fills the application's cache from its database, so that Django finds there what it would have put there
// itself.
//
// An [Entry] is a query, a template for keys, and a codec. [Run] reads the rows through a cursor in a transaction that
// can change nothing, makes a value of each, reads that value back with the reader of pkg/rediscache/pickle, and sends it
// pipelined. Memory does not grow with the number of rows.
//
// The types of the columns decide the types of Python. What is not known is a *ColumnError: nothing is guessed. A Redis that
// has no room, or is throwing keys away already, is a *RoomError unless the caller insists.
//
// Run may be called again: it sets the same keys. When it ends early, the Summary says how far it came.
package warm
