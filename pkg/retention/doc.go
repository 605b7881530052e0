// Package retention decides which sets of one group to keep, as a pure function
// that gives its reasons.
//
// A [Policy] is a list of rules, and a set stays when at least one of them wants
// it. Age counts back from the newest good set, never from today: when backups
// stop, nothing ages away. Only good sets fill a rule's places; what is not good
// stays as long as somebody may want to look at it. [Apply] promises:
//
//   - The newest good set stays, whatever the policy says. Without any good set
//     everything stays.
//   - What is pinned, needed by a set that stays, suspect and not yet accepted,
//     or cannot be judged, stays.
//   - While a set is suspect everything stays. Where the policy requires evidence,
//     a set stays until a newer good one has it.
//   - A set that is not good stays while it is newer than the newest good one.
//   - A set from the future stays, and nothing ages because of it.
//   - The result depends on nothing but the arguments, and not on the order of
//     the items. Applied to what it keeps it keeps all of it, and what it does
//     not keep it would not keep either if there were more items, as long as none
//     of these is suspect. So it does not matter how often, and when, a group is
//     pruned.
//
// Nothing is removed here.
package retention
