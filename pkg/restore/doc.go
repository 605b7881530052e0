// Package restore brings a backup back.
//
// Nothing that exists is touched before its replacement is complete and
// compared. Into loads a new database beside the others; Replace does the same
// and then exchanges it with the live one, in one transaction, with the units
// that use it standing still. The old database is kept, and comes back by itself
// when the application is not well with the new one, or by Undo.
//
// Media and Config do the same with files, and Full with all that a full set
// refers to, in an order in which what fails most fails before anything is in
// service.
//
// The contract of Replace and Undo:
//
//   - What an exchange is about to do is on stable storage before it is done (an
//     Intent). A process that dies leaves it behind, and Resume ends what was
//     begun: the server knows which database has which name.
//   - The database exists under its name at every moment and answers, except for
//     the fraction of a second in which new connections wait. Only the units may
//     be left standing, by a kill.
//   - After an error the old database is live and its units run, or the error
//     says what is not so. A restored database that has been live is kept, since
//     the application may have written to it.
//   - One exchange of a database at a time: ErrOpen. The caller holds a lock as
//     well, so that an open intent means a dead process.
package restore
