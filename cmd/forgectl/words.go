package main

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// What several commands say in the same words.

// things is "1 set", "3 sets", "2 directories".
func things(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if stem, ok := strings.CutSuffix(thing, "y"); ok && !strings.HasSuffix(stem, "e") { // entries, but keys
		return ui.Count(int64(n)) + " " + stem + "ies"
	}
	return ui.Count(int64(n)) + " " + thing + "s"
}

// countSets is "3 sets, 1.2 GiB"; without bytes only the number.
func countSets(n int, bytes int64) string {
	text := things(n, "set")
	if bytes > 0 {
		text += ", " + ui.Bytes(bytes)
	}
	return text
}

// ago is how long something is past, in words.
func ago(d time.Duration) string {
	if age := ui.Age(d); age != "now" {
		return age + " ago"
	}
	return "just now"
}

// timestamp is a moment as ids spell it: in UTC.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// stageTimes is how long each stage took, for people: "dump 3.2s, read back 1.1s".
func stageTimes(list []catalog.Stage) string {
	text := ""
	for i, stage := range list {
		if i > 0 {
			text += ", "
		}
		text += stage.Name + " " + seconds(stage.Seconds)
	}
	return text
}

func seconds(s float64) string { return ui.Duration(time.Duration(s * float64(time.Second))) }

// sizes is "12.3 MiB (4.2 times smaller)".
func sizes(bytes, raw int64) string {
	if bytes <= 0 || raw < bytes { // most of it is not packed, such as a tree of files
		return ui.Bytes(bytes)
	}
	return fmt.Sprintf("%s (%.1f times smaller)", ui.Bytes(bytes), float64(raw)/float64(bytes))
}

func sealedTo(names []string) string {
	if len(names) == 0 {
		return "not sealed"
	}
	return "sealed to " + ui.Printable(strings.Join(names, ", "))
}

// contents is what a set of a database holds, as far as somebody counted.
func contents(f *catalog.Fingerprint) string {
	if f == nil || f.Level == catalog.FingerprintNone {
		return "rows were not counted"
	}
	text := things(int(f.Rows()), "row") + " in " + things(f.TableCount(), "table")
	if f.Level == catalog.FingerprintFull {
		text += ", hashed"
	}
	return text
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
