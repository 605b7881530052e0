// Package media keeps snapshots of a tree of files, and an index of what each
// of them holds.
//
// A snapshot is a tree beside the earlier ones. What has not changed is a hard
// link to the same file of the newest whole snapshot, so a file that several
// snapshots share is never edited: whatever differs, be it only a permission, is
// a new file. The index says what the tree holds, entry by entry, with what a
// file system cannot be asked for later: the identity of each source file, and
// the hash of its content.
//
// Names are bytes. They are never parsed, joined or resolved through symbolic
// links: every step from one directory to the next refuses to follow one, so
// that a tree that changes under the walk cannot lead out of it.
package media
