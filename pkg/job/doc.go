// Package job frames one run of an operation: the lock that lets only one go at
// a time, a time limit, commands before and after, and a record that remains.
//
// [Runner.Do] takes the lock, runs the hooks and the operation, and writes a
// [Record] to <state dir>/history, once at the start and once at the end, each
// time whole. A run that was killed in between is therefore seen: its record
// says "running" but its process is gone, and [Runner.History] calls it
// "killed".
//
// The contract:
//
//   - Do returns the operation's error as it is. Only when the context ended
//     and the error does not say so is the cause put in front.
//   - [lock.ErrHeld] means that nothing was started, not even a hook.
//   - A record that cannot be written is a warning and never the reason why an
//     operation fails.
//   - A before hook that fails stops the run. Once before hooks have been
//     started the after hooks always run, so that what was stopped is started
//     again; one that fails is a warning.
//   - Every text in a record has gone through Runner.Scrub and is bounded.
package job
