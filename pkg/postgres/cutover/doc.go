// Package cutover puts one database in the place of another while clients keep
// coming, and knows which databases were moved aside that way.
//
// The idea is one transaction. A session renames the live database away; the
// lock that this takes makes new connections wait. A second session ends those
// that are still there, the first one renames the other database into place and
// commits. Until then nothing has happened, whoever dies; after it everything
// has. There is no moment at which the name is missing.
//
// A client that waits for the lock is told by the server that the database "seems
// to have just been dropped or renamed" and has to connect again: that, and the
// end of its old connection, is all that it sees.
//
// Nothing is dropped here. What is moved aside keeps its origin as JSON in its
// comment (Origin), so that it can be found, swapped back, and told from a
// database that merely has such a name.
package cutover
