package backup

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/template"
	"unicode"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// recoverTemplate is RECOVER.md: how to open the set with stock tools, written
// for somebody who has nothing else. A test runs the commands between the
// fences as they stand.
var recoverTemplate = template.Must(template.New(dumpset.RecoverName).Parse(`# Recovering {{.Database}} without forgectl

This directory is one backup of the PostgreSQL database {{.Quoted}}, taken as set {{.ID}}.
Nothing but stock tools is needed: sha256sum, {{if .Sealed}}gpg (with the secret key of one of the recipients
in manifest.json), {{end}}zstd, and the client programs of PostgreSQL {{.Major}} or newer.

Run the blocks in this order, in this directory, as a user that may create databases.
Choose a name that does not exist yet; nothing here touches an existing database.

1. Is everything here, unharmed?

` + "```sh" + `
sha256sum --check --strict SHA256SUMS
` + "```" + `
{{if .Signer}}
   And is it what was signed? This needs gpg and the public key {{.Signer}}
   from a place that you trust, not from beside this file: gpg --import it, and compare the fingerprint that gpg prints.
   Without that key nothing says who wrote this: leave the block out, and think before you go on.

` + "```sh" + `
gpg --verify SHA256SUMS.sig SHA256SUMS
` + "```" + `
{{end}}
2. Name the new database, and set PGHOST, PGPORT, PGUSER where they are needed.

` + "```sh" + `
NEW="${NEW:-{{.NewName}}}"
` + "```" + `

3. Roles, on a new server. Skip this block where they exist already: it would set their attributes (not their
   passwords) back to those of this backup. Errors about roles that exist are harmless.

` + "```sh" + `
{{.Open "00-globals.sql"}} | psql --no-psqlrc --quiet --dbname=postgres
` + "```" + `

4. The empty database, with the encoding and locale of the original.

` + "```sh" + `
{{.Open "05-database.sql"}} | psql --no-psqlrc --quiet --variable=db="$NEW" --dbname=postgres
` + "```" + `

5. Definitions, then all data, then indexes, constraints and triggers. This order matters.

` + "```sh" + `
(
  set -e
  export PGDATABASE="$NEW"
  for part in 10-pre-data 20-data 30-post-data; do
    for file in "$part"*{{.Suffix}}; do
      {{.OpenFile}} | pg_restore --exit-on-error --dbname=
    done
  done
)
` + "```" + `

6. Owner, privileges and settings of the database itself, and statistics for the planner.

` + "```sh" + `
{{.Open "05-database.sql"}} | psql --no-psqlrc --quiet --variable=db="$NEW" --variable=after=1 --dbname=postgres
PGDATABASE="$NEW" psql --no-psqlrc --quiet --command='ANALYZE'
` + "```" + `

The number of rows that each table must have stands in manifest.json under "fingerprint".
`))

// recoverText is what the template is filled with.
type recoverText struct {
	Database, Quoted, ID, NewName string
	Major                         int
	Sealed                        bool
	Suffix                        string
	Signer                        string // fingerprint; "": not signed
}

// Open is the command that prints an artifact in plain.
func (t recoverText) Open(base string) string { return t.open(base + t.Suffix) }

// OpenFile is the same for the shell variable "file".
func (t recoverText) OpenFile() string { return t.open(`"$file"`) }

func (t recoverText) open(file string) string {
	if t.Sealed {
		return "gpg --quiet --decrypt " + file + " | zstd --decompress --stdout"
	}
	return "zstd --decompress --stdout " + file
}

func (r *databaseRun) writeRecover(ctx context.Context) error {
	sealed := len(r.Seal.Recipients) > 0
	text := recoverText{
		Database: oneLine(r.group.Database),
		Quoted:   fmt.Sprintf("%q", r.group.Database),
		ID:       string(r.draft.ID()),
		NewName:  "recovered_" + strings.ToLower(string(r.draft.ID())),
		Major:    r.dumper.Tools.Version.Major(),
		Sealed:   sealed,
		Suffix:   seal.Suffix(sealed),
	}
	if r.Signer != nil {
		text.Signer = r.Signer.Fingerprint()
	}
	blob, err := r.draft.Put(ctx, dumpset.RecoverName, func(w io.Writer) error { return recoverTemplate.Execute(w, text) })
	if err != nil {
		return fmt.Errorf("write to repository: %w", err)
	}
	r.recovery = artifact.Written{Artifact: catalog.Artifact{Name: blob.Name, Bytes: blob.Bytes, SHA256: blob.SHA256}}
	return nil
}

// oneLine keeps an odd database name from breaking the heading.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
