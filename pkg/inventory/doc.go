// Package inventory says what there is: each set with what an operator asks about
// it, and each kind and database summed up by its newest good set and its days.
//
// It judges nothing itself: whether a set is good is the catalog's to say, by whom
// it is signed that of provenance, and how a promise fares that of recovery. Here
// the answers are put side by side, once for all who show them. The contract:
//
//   - Everything is read and nothing is changed. Artifacts are not read.
//   - The structs are what other programs read, as JSON: their tags are stable,
//     lists are never nil, and times are as they were recorded.
//   - Ages are by Options.Now. A set from the future has a negative one; Age makes
//     an error of it where that would hide something.
package inventory
