package backup

import (
	"fmt"
	"strings"
	"text/template"
	"unicode"

	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
)

// databasePage is RECOVER.md of a database set.
var databasePage = template.Must(template.New(dumpset.RecoverName).Parse(`# Recovering {{.Database}} without forgectl

This directory is one backup of the PostgreSQL database {{.Quoted}}, taken as set {{.ID}}.
Nothing but stock tools is needed: sha256sum, {{if .Sealed}}gpg (with the secret key of one of the recipients
in manifest.json), {{end}}zstd, and the client programs of PostgreSQL {{.Major}} or newer.

Run the blocks in this order, in this directory, as a user that may create databases.
Choose a name that does not exist yet; nothing here touches an existing database.

1. Is everything here, unharmed?

` + "```sh" + `
sha256sum --check --strict SHA256SUMS
` + "```" + `
` + recoverSigned + `
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

func (r *databaseRun) recovery() (*template.Template, any) {
	return databasePage, struct {
		recoverText
		Database, Quoted, NewName string
		Major                     int
	}{
		newRecoverText(&r.setRun, r.Sealing), oneLine(r.group.Database), fmt.Sprintf("%q", r.group.Database),
		"recovered_" + strings.ToLower(string(r.draft.ID())), r.dumper.Tools.Version.Major(),
	}
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
