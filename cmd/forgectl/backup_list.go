package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

type listOptions struct {
	kind     string
	database string
}

// listedOptions are those of the list alone.
type listedOptions struct {
	listOptions
	maxAge ageLimit
}

func newBackupListCmd(app *App) *cobra.Command {
	var o listedOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the sets in the repository",
		Long: `Lists every set, kind by kind and database by database, the newest first: its age and
size, how much smaller it is than what went in, how many rows it holds, to whom it is
sealed, how it was verified last (checksum, decode or drill) and how long ago, and
whether it is good, or why not. Good means that every file is there with its size, no
verification stands that failed, and nothing about it is suspect. That a set is signed
is shown, but not by whom: "backup show" and "backup verify" check signatures. Where
verify.require_signature is set, one without a signature is not good. A full set is good
when all that it refers to is. Nothing is changed.

On a terminal each kind and database is summed up below: the age of its newest good set
next to what recovery.rpo promises, and a bar of the last 31 days, one cell each by the
best set that was made on that day: # good, ? suspect, x failed, . no set.

With --max-age the list is a check: it is CRITICAL when the newest good set of the
database (--database, else database.name), or of --kind, is older, or when there is none.
"--max-age rpo" takes recovery.rpo, and is a WARNING from 80 % of it on.

With -o json: {"sets": [{"set", "kind", "database", "id", "path", "started",
"age_seconds", "bytes", "raw_bytes", "tables", "rows", "sealed_to", "signed",
"verified": {"level", "time", "host", "seconds"} or null, "pinned", "suspect",
"incomplete", "good", "why"}], "groups": [{"group", "kind", "database", "sets", "bytes",
"newest_good", "age_seconds", "promised_seconds", "kept", "days": [{"day", "state":
"good", "suspect", "failed" or "none"}]}]}. The days are local ones, the oldest first.
Without a good set "newest_good" is "" and "age_seconds" null.`,
		Example: `  forgectl backup list
  forgectl backup list --database other
  forgectl backup list --max-age 26h
  forgectl backup list --kind full --max-age rpo
  forgectl backup list -o json | jq -r '.sets[] | select(.good | not) | .set'`,
		Annotations: codes(exitOK, exitWarning, exitCritical, exitInterrupted, exitTerminated),
		Args:        cobra.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return app.listBackups(cmd.Context(), o) },
	}
	groupFlags(app, cmd, &o.listOptions)
	ageFlag(cmd, &o.maxAge, "CRITICAL when the newest good set of the database, or of --kind, is older than this `TIME`, such as 26h, or rpo")
	return cmd
}

// listedSet is one set in the JSON of forgectl backup list.
type listedSet struct {
	Set        string       `json:"set"`
	Kind       catalog.Kind `json:"kind"`
	Database   string       `json:"database,omitempty"`
	ID         catalog.ID   `json:"id"`
	Path       string       `json:"path"`
	Started    time.Time    `json:"started"`
	AgeSeconds int64        `json:"age_seconds"`
	Bytes      int64        `json:"bytes"`
	RawBytes   int64        `json:"raw_bytes"`
	Tables     int          `json:"tables"`
	Rows       int64        `json:"rows"`
	SealedTo   []string     `json:"sealed_to"`
	Signed     bool         `json:"signed"`
	Verified   *verifiedBy  `json:"verified"`
	Pinned     bool         `json:"pinned"`
	Suspect    bool         `json:"suspect"`
	Incomplete []string     `json:"incomplete"`
	Good       bool         `json:"good"`
	Why        string       `json:"why,omitempty"`
}

type verifiedBy struct {
	Level   string    `json:"level"`
	Time    time.Time `json:"time"`
	Host    string    `json:"host"`
	Seconds float64   `json:"seconds"`
}

func (a *App) listedSet(repo *repository, s catalog.Set) listedSet {
	l := listedSet{
		Set: s.Ref.String(), Kind: s.Kind, Database: s.Database, ID: s.ID, Started: s.Began(a.Now()), Bytes: s.Bytes,
		AgeSeconds: int64(a.Now().Sub(s.Began(a.Now())).Seconds()), Pinned: s.Pinned(), Suspect: s.Suspect(), Signed: s.Signed, SealedTo: []string{}, Incomplete: []string{},
	}
	l.Path, _ = repo.Location(s.Ref)
	if l.Good, l.Why = s.Good(); l.Good && !l.Signed && a.loaded.Verify.RequireSignature {
		l.Good, l.Why = false, "not signed, but a signature is required"
	}
	if m := s.Manifest; m != nil {
		l.RawBytes, l.Tables, l.Rows, l.SealedTo = m.RawBytes(), m.Fingerprint.TableCount(), m.Fingerprint.Rows(), m.Encryption.Names()
		l.Incomplete = append(l.Incomplete, m.Incomplete...)
	}
	for _, level := range []string{catalog.LevelDrill, catalog.LevelDecode, catalog.LevelChecksum} {
		if c := s.LastCheck(level); c != nil {
			l.Verified = &verifiedBy{Level: c.Level, Time: c.Time, Host: c.Host, Seconds: c.Seconds()}
			break
		}
	}
	return l
}

// listSets reads the sets of a kind and a database, both optional, newest first.
func listSets(ctx context.Context, repo *repository, kind catalog.Kind, database string) ([]catalog.Set, error) {
	groups, err := repo.Groups(ctx, kind)
	if err != nil {
		return nil, err
	}
	var all []catalog.Set
	for _, g := range groups {
		if database != "" && g.Database != database {
			continue
		}
		sets, err := repo.List(ctx, g)
		if err != nil {
			return nil, err
		}
		slices.Reverse(sets)
		all = append(all, sets...)
	}
	return all, nil
}

func (a *App) listBackups(ctx context.Context, o listedOptions) error {
	switch {
	case o.kind != "" && !catalog.Kind(o.kind).Valid():
		return a.misuse("--kind %s: want database, media, config or full", o.kind)
	case o.kind != "" && o.kind != string(catalog.KindDatabase) && o.database != "":
		return a.misuse("--kind %s and --database were given: which is it?", o.kind)
	}
	group, err := a.databaseGroup()
	if err == nil {
		err = a.checkAgeLimit(o.maxAge)
	}
	if err != nil {
		return err
	}
	switch {
	case o.database != "":
		group.Database = o.database
	case o.kind != "" && o.kind != string(catalog.KindDatabase):
		group = catalog.Group{Kind: catalog.Kind(o.kind)}
	}
	repo, err := a.Repository(ctx)
	if err != nil {
		return err
	}
	sets, err := listSets(ctx, repo, catalog.Kind(o.kind), o.database)
	if err != nil {
		return err
	}
	shown, err := a.listedSets(ctx, repo, sets)
	if err != nil {
		return err
	}
	groups := listedGroups(shown, a.Now(), a.loaded.Recovery.RPO)
	if len(shown) == 0 && a.Streams.ErrTTY {
		a.Streams.Message("", ui.LevelHint, "no such sets in "+repo.path+"; forgectl backup db makes one")
	}
	if o.maxAge.given {
		err = a.checkAge(ctx, repo, group, o.maxAge, a.warn)
	}
	return all(a.show(result{
		JSON: listedBackups{shown, groups},
		Text: func(s *ui.Streams) error {
			if err := a.listTable(s, shown); err != nil {
				return err
			}
			return groupsTable(s, groups)
		},
	}), err)
}

// listedBackups is the JSON of forgectl backup list.
type listedBackups struct {
	Sets   []listedSet   `json:"sets"`
	Groups []listedGroup `json:"groups"`
}

// listedSets looks at each set. A full set is good only with all that it refers to,
// most of which has been listed already.
func (a *App) listedSets(ctx context.Context, repo *repository, sets []catalog.Set) ([]listedSet, error) {
	known := make(map[catalog.Ref]int, len(sets))
	for i, s := range sets {
		known[s.Ref] = i
	}
	get := func(ctx context.Context, ref catalog.Ref) (catalog.Set, error) {
		if i, ok := known[ref]; ok {
			return sets[i], nil
		}
		return repo.Get(ctx, ref)
	}
	shown := make([]listedSet, len(sets))
	for i, s := range sets {
		shown[i] = a.listedSet(repo, s)
		if _, err := partsOf(ctx, get, s, &shown[i]); err != nil {
			return nil, err
		}
	}
	return shown, nil
}

func (a *App) listTable(s *ui.Streams, sets []listedSet) error {
	t := s.Table(ui.Column{Title: "SET"}, ui.Column{Title: "AGE", Right: true}, ui.Column{Title: "SIZE", Right: true}, ui.Column{Title: "RATIO", Right: true},
		ui.Column{Title: "ROWS", Right: true}, ui.Column{Title: "SEALED TO"}, ui.Column{Title: "VERIFIED"}, ui.Column{Title: "STATE"})
	for _, l := range sets {
		ratio, rows := "", ""
		if l.Bytes > 0 && l.RawBytes >= l.Bytes {
			ratio = fmt.Sprintf("%.1f", float64(l.RawBytes)/float64(l.Bytes))
		}
		if l.Tables > 0 {
			rows = s.Number(l.Rows)
		}
		verified := s.Warn("never")
		if v := l.Verified; v != nil {
			verified = v.Level + " " + ago(a.Now().Sub(v.Time))
		}
		sealed := strings.Join(l.SealedTo, ", ")
		switch {
		case l.RawBytes == 0 && sealed == "":
			sealed = "unknown" // there is no manifest to ask
		case sealed == "":
			sealed = "nobody"
		}
		t.Row(l.Set, ui.Age(time.Duration(l.AgeSeconds)*time.Second), ui.Bytes(l.Bytes), ratio, rows, sealed, verified, paintState(s, l))
	}
	return t.Flush()
}

// ago is how long something is past, in words.
func ago(d time.Duration) string {
	if age := ui.Age(d); age != "now" {
		return age + " ago"
	}
	return "just now"
}

func paintState(s *ui.Streams, l listedSet) string {
	state := s.Good("good")
	switch {
	case !l.Good:
		state = s.Bad(l.Why)
		if l.Suspect && !strings.HasPrefix(l.Why, catalog.CheckSuspect) {
			state += ", " + s.Bad(catalog.CheckSuspect)
		}
	case len(l.Incomplete) > 0:
		state = s.Warn("good, incomplete")
	}
	if l.Good && l.Signed {
		state += ", signed"
	}
	if l.Pinned {
		state += ", pinned"
	}
	return state
}
