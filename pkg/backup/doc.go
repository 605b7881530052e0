// Package backup writes one set of a kind.
//
// A set is published only when every process that took part ended well, every
// byte is on stable storage, and what was written has been read back. Until
// then nothing of it can be seen; when anything fails, nothing of it remains.
// What the database role could not see is named in the set (Manifest.Incomplete).
//
// set.go is what every kind goes through; database.go, media.go and config.go fill in what is particular to theirs, and
// full.go makes a set that refers to others.
//
// The caller holds the write lock of the group and runs one operation at a time.
package backup
