//go:build !long

package restore_test

const killRounds = 6

// everyFault: each fault at each moment, not one of them.
const everyFault = false
