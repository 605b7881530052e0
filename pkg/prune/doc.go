// Package prune removes the sets that the retention no longer wants.
//
// Decide looks and says what is to become of each set, and why; Apply does it,
// for one group. What the rules are stands in package retention; here is what
// they are told about sets:
//
//   - A set that a full set refers to is needed as long as the full set stays.
//     What a full set refers to whose manifest cannot be read nobody knows: as
//     long as it stays, everything in the other groups does.
//   - Damage and failed verifications make a set bad. A set that a newer
//     forgectl wrote, that cannot be read, that has lost its SHA256SUMS, or of
//     whose checks one is damaged (it may be a pin) cannot be judged, and is
//     never removed.
//   - A suspect set freezes its group: nothing of it goes before somebody has
//     accepted the set. Evidence (Policy.Requires) is a verification of that
//     level or a higher one that passed; only databases can have it.
//
// Only sets of the catalog are removed. A directory without SHA256SUMS, a file,
// a link or anything with another name is left alone.
//
// Apply removes nothing that the plan did not name, and of that only what is
// still to be removed at that very moment: pins, verdicts and sets may have come
// in between. Each set is first renamed away and then deleted, so it is there
// whole or not at all; when the process dies in between, Sweep cleans up.
//
// The caller of Apply holds the write lock of the group. The lock of its readers
// is taken for each set that is removed; where somebody reads, the set stays.
package prune
