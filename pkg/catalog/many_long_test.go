//go:build long

package catalog_test

// manySets is what a repository holds after fourteen years of nights.
const manySets = 5000
