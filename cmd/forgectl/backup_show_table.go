package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/inventory"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func showTable(out *ui.Streams, d inventory.Detail) error {
	t := out.Table(ui.Column{Title: "FIELD"}, ui.Column{Title: "VALUE"})
	row := func(field, value string) {
		if value != "" {
			t.Row(field, value)
		}
	}
	row("set", d.Set.Set)
	row("state", paintState(out, d.Set))
	row("path", d.Path)
	row("started", timestamp(d.Started)+", "+ago(d.Age()))
	if d.Manifest != nil {
		showManifest(row, d, signedBy(out, d.Origin))
	}
	for _, p := range d.Parts {
		state := out.Good("good")
		if !p.Good {
			state = out.Bad(p.Why)
		}
		row("refers to", p.Set+"  "+state)
	}
	if d.Rehashed != nil {
		row("rehashed", fmt.Sprintf("%d %% within %d days", wholePercent(*d.Rehashed), inventory.RehashDays))
	}
	for _, c := range d.Checks {
		row(c.What, describeCheck(out, c))
	}
	if d.Suspect {
		row("to decide", "forgectl backup accept "+proc.ShellWord(d.Set.Set)+" --reason TEXT")
	}
	for _, command := range openingCommands(d) {
		row("to open it", command)
	}
	return t.Flush()
}

// wholePercent never says 100 of what is not all.
func wholePercent(share float64) int { return int(math.Floor(100*share + 1e-9)) }

// showManifest is what was recorded when the set was written.
func showManifest(row func(field, value string), d inventory.Detail, signer string) {
	m := d.Manifest
	row("took", ui.Duration(m.Finished.Sub(m.Started)))
	row("written by", "forgectl "+m.Forgectl+" on "+m.Host)
	for _, tool := range sortedKeys(m.Tools) {
		row("tool", tool+" "+m.Tools[tool])
	}
	showSource(row, m.Source)
	row("size", sizes(d.Bytes, d.RawBytes))
	if m.Kind == catalog.KindDatabase {
		row("content", contents(m.Fingerprint))
	}
	switch {
	case m.Encryption != nil:
		for _, r := range m.Encryption.Recipients {
			row("sealed to", r.Fingerprint+"  "+r.UserID)
		}
	case m.Kind != catalog.KindFull: // which holds nothing that could be
		row("sealed to", "nobody")
	}
	row("signed by", signer)
	row("read back", m.Readback)
	for _, reason := range m.Incomplete {
		row("incomplete", reason)
	}
	for _, w := range m.Warnings {
		row("warning", w)
	}
	showFiles(row, m)
}

// showSource is what it was written from.
func showSource(row func(field, value string), src *catalog.Source) {
	if src == nil {
		return
	}
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

// showFiles is what is in it.
func showFiles(row func(field, value string), m *catalog.Manifest) {
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

// describeCheck is what happened to the set at some time.
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
func openingCommands(d inventory.Detail) []string {
	switch {
	case d.Manifest == nil || d.Kind == catalog.KindBase:
		return nil
	case d.Kind != catalog.KindDatabase:
		return []string{"forgectl restore " + restoreVerb(d.Kind) + " " + string(d.ID) + " --dry-run", "less " + proc.ShellWord(d.Path+"/"+dumpset.RecoverName)}
	}
	commands := []string{"forgectl restore db " + d.Set.Set + " --into NAME", "less " + proc.ShellWord(d.Path+"/"+dumpset.RecoverName)}
	for _, artifact := range d.Manifest.Artifacts {
		if strings.HasPrefix(artifact.Name, dumpset.PreDataName) {
			path := proc.ShellWord(d.Path + "/" + artifact.Name)
			open := "zstd -dc " + path
			if d.Manifest.Encryption != nil {
				open = "gpg --decrypt " + path + " | zstd -dc"
			}
			commands = append(commands, open+" | pg_restore --list")
		}
	}
	return commands
}
