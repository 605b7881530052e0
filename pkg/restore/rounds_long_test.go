//go:build long

package restore_test

const killRounds = 150

const everyFault = true
