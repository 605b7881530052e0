// Package rediscache looks after the application's cache in Redis: what state it
// is in, what is in it, who uses it, and how to empty a part of it without a stall.
//
// Open makes the one connection pool that everything else uses. What the package
// promises:
//
//   - Nothing here blocks the server for long: keys are found with SCAN, removed
//     with UNLINK, measured with MEMORY USAGE, in batches that are paced. KEYS is
//     never sent.
//   - Only keys below the prefix of the application are touched, unless the caller
//     says otherwise; characters of a prefix that mean something in a pattern are
//     escaped, and each key is compared with the prefix once more before it goes.
//   - No password is in an error, and none is shown of what others send.
//
// Errors are *ConnectError when the server could not be reached or let nobody in,
// and else one of the Err values with the server's own words.
package rediscache
