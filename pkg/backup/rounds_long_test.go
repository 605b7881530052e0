//go:build long

package backup_test

const networkRounds = 300
