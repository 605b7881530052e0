package catalog

import "time"

// SchemaVersion is the schema number of the manifests and check files that this package writes, and the
// largest it reads. Fields may be added under the same number: a reader ignores those it does not know.
const SchemaVersion = 1

// Names inside a set that are not artifacts.
const (
	ManifestName = "manifest.json"
	SumsName     = "SHA256SUMS"
	ChecksDir    = "checks"
)

// Values of Manifest.Readback: what was done with the artifacts after they had been written.
const (
	ReadbackHash   = "hash"   // read back and hashed
	ReadbackDecode = "decode" // also decrypted and decompressed, and the plain bytes hashed
)

// Values of Fingerprint.Level.
const (
	FingerprintNone   = "none"
	FingerprintCounts = "counts" // the rows of each table
	FingerprintFull   = "full"   // also a hash over the rows of each table
)

// Manifest is manifest.json: what a set holds and where it came from, written once and never changed. On
// disk it is UTF-8 JSON, indented by two spaces, with a newline at the end. Times are RFC 3339 in UTC.
// Fields that are empty are left out, except schema, id, kind, started, finished, host, forgectl and
// artifacts.
type Manifest struct {
	// Schema is SchemaVersion. Draft.Publish fills it in, as it does ID, Kind, Database, and where they
	// are empty Started, Finished, Host and Forgectl.
	Schema int `json:"schema"`
	// ID is the name of the set's directory.
	ID ID `json:"id"`
	// Kind is the kind of the directory that the set lies under.
	Kind Kind `json:"kind"`
	// Database is the name of the database, not escaped; only for kind "database".
	Database string `json:"database,omitempty"`

	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// Host is the host name of the machine that wrote the set.
	Host string `json:"host"`
	// Forgectl is the version of the program that wrote the set.
	Forgectl string `json:"forgectl"`

	Source *Source `json:"source,omitempty"`
	// Tools is the version of each outside program that took part, by its name ("pg_dump": "15.18").
	Tools map[string]string `json:"tools,omitempty"`
	// Artifacts is what the set is made of, in the order in which it is to be read back.
	Artifacts []Artifact `json:"artifacts"`
	// Encryption is present when the artifacts whose names end in ".gpg" are sealed.
	Encryption *Encryption `json:"encryption,omitempty"`
	// Signature is present when SHA256SUMS is signed. Publish fills it in.
	Signature   *Signature   `json:"signature,omitempty"`
	Fingerprint *Fingerprint `json:"fingerprint,omitempty"`
	// Contents counts what a set of files holds.
	Contents *Contents `json:"contents,omitempty"`
	// Coverage is, of a tree that shares files with an earlier set, when which share of them was hashed last before it was made:
	// the sets that verifies were recorded beside may be gone before the next one.
	Coverage []Coverage `json:"coverage,omitempty"`
	// Readback says how the artifacts were proven before the set was published: "hash" or "decode".
	Readback string `json:"readback,omitempty"`
	// Incomplete names what could not be backed up, one reason each. A set with any is whole in itself.
	Incomplete []string `json:"incomplete,omitempty"`
	// Warnings is what went oddly without making the set less than it says.
	Warnings []string `json:"warnings,omitempty"`
	// References names the sets that a set of kind "full" stands for, each as Ref.String spells it.
	References []string `json:"references,omitempty"`
	// ReferenceSums is the SHA-256 of the SHA256SUMS of each of them, by the name in References: a set that was
	// exchanged for another one of the same name is found.
	ReferenceSums map[string]string `json:"reference_sums,omitempty"`
}

// Source is what the data was taken from.
type Source struct {
	Database         string `json:"database,omitempty"`
	ServerVersion    string `json:"server_version,omitempty"`     // as the server says it: "15.18 (Debian 15.18-0+deb12u1)"
	ServerVersionNum int    `json:"server_version_num,omitempty"` // 150018
	SystemIdentifier string `json:"system_identifier,omitempty"`  // decimal
	Encoding         string `json:"encoding,omitempty"`
	LocaleProvider   string `json:"locale_provider,omitempty"` // "libc", "icu" or "builtin"
	Collate          string `json:"collate,omitempty"`
	CType            string `json:"ctype,omitempty"`
	Bytes            int64  `json:"bytes,omitempty"`   // pg_database_size when the run began
	Standby          bool   `json:"standby,omitempty"` // taken from a server in recovery
	ReleaseDir       string `json:"release_dir,omitempty"`
	GitRevision      string `json:"git_revision,omitempty"`
	Migration        string `json:"migration,omitempty"` // newest row of django_migrations
}

// Artifact is one file of the set that holds data. A Name that ends in "/" is a file tree, which is no file
// of SHA256SUMS: Bytes is then the sum of its files' sizes, the other fields are empty, and another artifact
// lists what the tree holds.
type Artifact struct {
	// Name is the file's name inside the set's directory.
	Name string `json:"name"`
	// Bytes and SHA256 (64 lower-case hex digits) are those of the file as it lies there.
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"`
	// RawBytes and RawSHA256 are those of the content before compression and sealing.
	RawBytes  int64  `json:"raw_bytes,omitempty"`
	RawSHA256 string `json:"raw_sha256,omitempty"`
}

// Encryption says how the sealed artifacts are sealed and who can open them.
type Encryption struct {
	Format     string      `json:"format"` // "openpgp"
	Recipients []Recipient `json:"recipients"`
}

// Recipient is one key that opens the set.
type Recipient struct {
	Fingerprint string `json:"fingerprint"` // of the primary key, 40 upper-case hex digits
	UserID      string `json:"user_id,omitempty"`
}

// Fingerprint is what a restored copy is compared with.
type Fingerprint struct {
	Level        string        `json:"level"`              // "none", "counts" or "full"
	Snapshot     string        `json:"snapshot,omitempty"` // as pg_export_snapshot named it
	Tables       []Table       `json:"tables,omitempty"`
	Sequences    []Sequence    `json:"sequences,omitempty"`
	LargeObjects *LargeObjects `json:"large_objects,omitempty"`
}

// Table is one table whose rows the archives hold.
type Table struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	// Hash covers the content of all rows, whatever their order; only at level "full".
	Hash string `json:"hash,omitempty"`
	// Condition is the WHERE clause that Rows and Hash are limited to, as extensions set it for their
	// configuration tables.
	Condition string `json:"condition,omitempty"`
}

// Sequence is where a sequence stood. Sequences are not part of a snapshot: a restored value that is larger
// is right as well.
type Sequence struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Value  int64  `json:"value"`
	Called bool   `json:"called"`
}

// Contents is how much a set of files (kinds "media" and "config") holds, so that sets can be compared without
// reading them.
type Contents struct {
	Files       int64 `json:"files"` // regular ones; each name of a hard link counts
	Directories int64 `json:"directories"`
	Links       int64 `json:"links"` // symbolic ones
	Bytes       int64 `json:"bytes"` // the sizes of the files
}

// LargeObjects counts the large objects and sums their sizes.
type LargeObjects struct {
	Count int64 `json:"count"`
	Bytes int64 `json:"bytes"`
}
