//go:build !long

package catalog_test

// manySets is enough to see what grows with the number of sets.
const manySets = 1000
