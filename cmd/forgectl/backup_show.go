package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/ui"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

func newBackupShowCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [ID|latest]",
		Short: "Show everything about one set",
		Long: `Shows what is known of one set without reading its artifacts: where it comes from,
the files with their sizes and sums, the tables with their rows, to whom it is
sealed, who signed it (which is checked), what happened to it since, and the commands
that open it, with forgectl and without; of a full set what it refers to, and whether
that is there as it was. "latest" (the default) is the newest set, good or not. Nothing
is changed.

` + setNaming + `

With -o json: the object of "backup list", and "manifest" (docs/format.md), "checks" and
"signature": null, or {"state", "fingerprint", "key", "user_id", "time", "problem"}. The
state is good, unknown (by a key that is not accepted here), invalid (by one that was
revoked or had expired), wrong, none or unchecked. Of a full set also "parts": [{"set",
"good", "why"}]; of a media set "rehashed_within_30_days", the share of its files whose
contents a verify has read since then, from 0 to 1.`,
		Example: `  forgectl backup show
  forgectl backup show 20261123T020000Z
  forgectl backup show other/20261123T020000Z -o json`,
		Annotations:       listingCodes(),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: app.completeSets,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.showBackup(cmd.Context(), append(args, latest)[0])
		},
	}
	databaseFlag(app, cmd)
	return cmd
}

// shownSet is the JSON of forgectl backup show.
type shownSet struct {
	listedSet
	Signature *shownSignature   `json:"signature"`
	Manifest  *catalog.Manifest `json:"manifest"`
	Checks    []catalog.Check   `json:"checks"`
	Parts     []shownPart       `json:"parts,omitempty"`
	Rehashed  *float64          `json:"rehashed_within_30_days,omitempty"`
}

// shownPart is what a full set refers to.
type shownPart struct {
	Set  string `json:"set"`
	Good bool   `json:"good"`
	Why  string `json:"why,omitempty"`
}

func (a *App) showBackup(ctx context.Context, name string) error {
	repo, err := a.Repository(ctx)
	if err != nil {
		return err
	}
	s, err := a.namedSet(ctx, repo, name)
	if err != nil {
		return err
	}
	policy, err := a.Provenance()
	if err != nil {
		return err
	}
	signature, err := policy.Examine(ctx, repo.Catalog, s)
	if err != nil {
		signature.Warning = err.Error()
	}
	l := a.listedSet(repo, s)
	var damage *catalog.DamageError
	if errors.As(signature.Damage, &damage) && l.Good {
		l.Good, l.Why = false, damage.Reason()
	}
	parts, err := partsOf(ctx, repo.Get, s, &l)
	if err != nil {
		return err
	}
	read, err := a.rehashed(ctx, repo, s)
	if err != nil {
		return err
	}
	return a.show(result{
		JSON: shownSet{l, showSignature(signature), s.Manifest, append([]catalog.Check{}, s.Checks...), parts, read},
		Text: func(out *ui.Streams) error { return a.showTable(out, l, s, signature, parts, read) },
	})
}

// rehashDays is how far back it counts that contents were read.
const rehashDays = 30

// rehashed is the share of the files of media sets whose contents were read lately,
// by verifies of any set of the group.
func (a *App) rehashed(ctx context.Context, repo *repository, s catalog.Set) (*float64, error) {
	if s.Kind != catalog.KindMedia {
		return nil, nil
	}
	sets, err := repo.List(ctx, s.Group)
	if err != nil {
		return nil, err
	}
	share := verify.Covered(sets, a.Now().AddDate(0, 0, -rehashDays))
	return &share, nil
}

// wholePercent never says 100 of what is not all.
func wholePercent(share float64) int { return int(math.Floor(100*share + 1e-9)) }

// partsOf looks at what a full set refers to. Without it the set is not good.
func partsOf(ctx context.Context, get func(context.Context, catalog.Ref) (catalog.Set, error), s catalog.Set, l *listedSet) ([]shownPart, error) {
	if s.Kind != catalog.KindFull || s.Manifest == nil {
		return nil, nil
	}
	parts, err := catalog.Parts(ctx, s, get)
	if err != nil {
		return nil, err
	}
	if good, why := catalog.Whole(s, parts); l.Good && !good {
		l.Good, l.Why = false, why
	}
	var shown []shownPart
	for _, p := range parts {
		one := shownPart{Set: p.Ref.String()}
		one.Good, one.Why = p.Good()
		shown = append(shown, one)
	}
	return shown, nil
}

func (a *App) showTable(out *ui.Streams, l listedSet, s catalog.Set, signature provenance.Finding, parts []shownPart, read *float64) error {
	t := out.Table(ui.Column{Title: "FIELD"}, ui.Column{Title: "VALUE"})
	row := func(field, value string) {
		if value != "" {
			t.Row(field, value)
		}
	}
	row("set", l.Set)
	row("state", paintState(out, l))
	row("path", l.Path)
	row("started", timestamp(l.Started)+", "+ago(time.Duration(l.AgeSeconds)*time.Second))
	if m := s.Manifest; m != nil {
		a.showManifest(row, m, l, signedBy(out, signature))
	}
	for _, p := range parts {
		state := out.Good("good")
		if !p.Good {
			state = out.Bad(p.Why)
		}
		row("refers to", p.Set+"  "+state)
	}
	if read != nil {
		row("rehashed", fmt.Sprintf("%d %% within %d days", wholePercent(*read), rehashDays))
	}
	for _, c := range s.Checks {
		row(c.What, describeCheck(out, c))
	}
	if s.Suspect() {
		row("to decide", "forgectl backup accept "+shellWord(l.Set)+" --reason TEXT")
	}
	for _, command := range openingCommands(l, s) {
		row("to open it", command)
	}
	return t.Flush()
}

func (a *App) showManifest(row func(field, value string), m *catalog.Manifest, l listedSet, signer string) {
	row("took", ui.Duration(m.Finished.Sub(m.Started)))
	row("written by", "forgectl "+m.Forgectl+" on "+m.Host)
	for _, tool := range sortedKeys(m.Tools) {
		row("tool", tool+" "+m.Tools[tool])
	}
	if src := m.Source; src != nil {
		row("database", src.Database)
		if src.ServerVersion != "" {
			row("server", strings.Join([]string{"PostgreSQL " + src.ServerVersion, src.Encoding, src.LocaleProvider + " " + src.Collate, ui.Bytes(src.Bytes)}, ", "))
		}
		row("system identifier", src.SystemIdentifier)
		if src.Standby {
			row("standby", "yes")
		}
		row("release", strings.TrimSpace(src.ReleaseDir+" "+src.GitRevision))
		row("newest migration", src.Migration)
	}
	row("size", sizes(l.Bytes, l.RawBytes))
	if m.Kind == catalog.KindDatabase {
		row("content", contents(m.Fingerprint))
	}
	if m.Encryption == nil {
		row("sealed to", "nobody")
	} else {
		for _, r := range m.Encryption.Recipients {
			row("sealed to", r.Fingerprint+"  "+r.UserID)
		}
	}
	row("signed by", signer)
	row("read back", m.Readback)
	for _, reason := range m.Incomplete {
		row("incomplete", reason)
	}
	for _, w := range m.Warnings {
		row("warning", w)
	}
	for _, f := range m.Artifacts {
		sum := ""
		if f.SHA256 != "" { // a tree of files has an index instead
			sum = "  sha256 " + f.SHA256
		}
		row("file", f.Name+"  "+ui.Bytes(f.Bytes)+sum)
	}
	if f := m.Fingerprint; f != nil {
		for _, table := range f.Tables {
			row("table", table.Schema+"."+table.Name+"  "+ui.Count(table.Rows)+" rows")
		}
		if f.LargeObjects != nil {
			row("large objects", ui.Count(f.LargeObjects.Count)+", "+ui.Bytes(f.LargeObjects.Bytes))
		}
	}
}

func describeCheck(out *ui.Streams, c catalog.Check) string {
	text := timestamp(c.Time) + " on " + c.Host
	if c.What == catalog.CheckVerify {
		verdict := out.Good("ok")
		if !c.OK {
			verdict = out.Bad("failed")
		}
		text += ": " + c.Level + " " + verdict + " in " + seconds(c.Seconds())
		if stages := stageTimes(c.Stages); stages != "" {
			text += " (" + stages + ")"
		}
	}
	for _, p := range c.Problems {
		text += "; " + p
	}
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	return text
}

// openingCommands are how a set becomes a database again.
func openingCommands(l listedSet, s catalog.Set) []string {
	switch {
	case s.Manifest == nil || s.Kind == catalog.KindBase:
		return nil
	case s.Kind != catalog.KindDatabase:
		return []string{"forgectl restore " + restoreVerb(s.Kind) + " " + string(s.ID) + " --dry-run", "less " + shellWord(l.Path+"/"+dumpset.RecoverName)}
	}
	commands := []string{"forgectl restore db " + l.Set + " --into NAME", "less " + shellWord(l.Path+"/"+dumpset.RecoverName)}
	for _, artifact := range s.Manifest.Artifacts {
		if strings.HasPrefix(artifact.Name, dumpset.PreDataName) {
			path := shellWord(l.Path + "/" + artifact.Name)
			open := "zstd -dc " + path
			if s.Manifest.Encryption != nil {
				open = "gpg --decrypt " + path + " | zstd -dc"
			}
			commands = append(commands, open+" | pg_restore --list")
		}
	}
	return commands
}

// shellWord quotes a word for a shell where that is needed.
func shellWord(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-", r)
	}) < 0
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
