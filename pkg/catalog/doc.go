// Package catalog knows which backup sets exist in a store, and whether they are whole.
//
// # A repository
//
// A set is a directory, database/<escaped name>/<id> or <kind>/<id>. The id is the start of the run in UTC,
// 20261123T020000Z; order is by id. It holds
//
//	<artifacts>         what was backed up, one file each, and files such as RECOVER.md
//	manifest.json       what the artifacts are and where they came from (Manifest)
//	SHA256SUMS          the hash of each of these files (Sum), written last
//	checks/             what happened to the set later, one small file each (Check); may be missing
//
// and, where an artifact is a file tree, that directory. A directory without SHA256SUMS is no set (but one that lost it is listed as damaged, where that can be told). Except for
// new files in checks/, nothing in a set ever changes. Other names in a repository are ignored; they begin
// with "." where forgectl itself uses them.
//
// SHA256SUMS is what `sha256sum -c` reads: a line for each file that is in the set's directory when it is
// published, sorted by name, 64 lower-case hex digits, two spaces, the name, a newline. It covers everything
// but itself, checks/ and file trees. A reader accepts the lines in any order, but nothing else: names are
// relative and clean, without control characters and backslashes, each occurs once, and manifest.json occurs.
//
// # Writing
//
// A set is written through a Draft: Begin, Put for each file, Publish. Until Publish has returned without an
// error there is no set, whatever happens; Discard, in a defer, removes what was written. Where the store can
// rename (store.Renamer), a draft lies in .partial-<id> beside the sets and is renamed. Elsewhere it is
// written under its final name, with a blob .partial-<id> beside the sets as long as it is not complete. A
// process that is killed leaves .partial-<id>, in both cases, and Sweep removes the rest of it.
//
// Begin, Publish, Sweep and Remove expect that nobody else does the same in the same group meanwhile: the
// caller holds the repository's lock. Readers need none.
//
// # Reading
//
// Listing and Get compare what can be seen without reading artifacts: SHA256SUMS and manifest.json agree with
// each other, with the directory's name and with the names and sizes of the files, and no check file is
// damaged. What is wrong is in Set.Problem, a *DamageError where it is damage; one bad set never hides the
// others. Only reading the artifacts, as package verify does, can prove more.
//
// ErrNotFound is a set that does not exist, ErrNewer something that a newer forgectl wrote (its schema number
// is larger), ErrInvalid a malformed name. Fields that are not known are ignored.
package catalog
