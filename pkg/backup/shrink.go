package backup

import (
	"strings"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/guard"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
)

// measure is what a set of a database holds: the bytes of its data before
// compression and, where they were counted, the rows of all tables and of each.
func (r *databaseRun) measure(m *catalog.Manifest) guard.Measures {
	all := guard.Measures{}
	for _, a := range m.Artifacts {
		if strings.HasPrefix(a.Name, dumpset.DataPrefix) {
			all[guard.Key{Unit: guard.Bytes}] += a.RawBytes
		}
	}
	if m.Fingerprint == nil || m.Fingerprint.Level == catalog.FingerprintNone {
		return all
	}
	all[guard.Key{Unit: guard.Rows}] = m.Fingerprint.Rows()
	for _, t := range m.Fingerprint.Tables {
		all[guard.Key{Unit: guard.Rows, Part: t.Schema + "." + t.Name}] = t.Rows
	}
	return all
}

// contentMeasures is what a set of files holds.
func contentMeasures(m *catalog.Manifest) guard.Measures {
	if m.Contents == nil {
		return guard.Measures{}
	}
	return guard.Measures{{Unit: guard.Files}: m.Contents.Files, {Unit: guard.Bytes}: m.Contents.Bytes}
}
