package inventory

import (
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// Set is one set as it is listed.
type Set struct {
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
	Verified   *Verified    `json:"verified"`
	Pinned     bool         `json:"pinned"`
	Suspect    bool         `json:"suspect"`
	Incomplete []string     `json:"incomplete"`
	Good       bool         `json:"good"`
	Why        string       `json:"why,omitempty"`

	// Known says that there is a manifest: without one most of the above is not known.
	Known bool `json:"-"`
}

// Verified is the last verification of a set that went well, of the highest level that any of them had.
type Verified struct {
	Level   string    `json:"level"`
	Time    time.Time `json:"time"`
	Host    string    `json:"host"`
	Seconds float64   `json:"seconds"`
}

// Age is how old the set is.
func (s Set) Age() time.Duration { return time.Duration(s.AgeSeconds) * time.Second }

// set describes a set whose parts are known; only full sets have some.
func (o Options) set(s catalog.Set, parts []catalog.Part) Set {
	began := s.Began(o.Now())
	d := Set{
		Set: s.Ref.String(), Kind: s.Kind, Database: s.Database, ID: s.ID, Started: began, AgeSeconds: int64(o.Now().Sub(began).Seconds()), Bytes: s.Bytes,
		Pinned: s.Pinned(), Suspect: s.Suspect(), Signed: s.Signed, SealedTo: []string{}, Incomplete: []string{}, Known: s.Manifest != nil,
	}
	d.Path, _ = o.Catalog.Location(s.Ref)
	d.Good, d.Why = o.Catalog.Judge(s, parts)
	if m := s.Manifest; m != nil {
		d.RawBytes, d.Tables, d.Rows, d.SealedTo = m.RawBytes(), m.Fingerprint.TableCount(), m.Fingerprint.Rows(), m.Encryption.Names()
		d.Incomplete = append(d.Incomplete, m.Incomplete...)
	}
	for _, level := range []string{catalog.LevelDrill, catalog.LevelDecode, catalog.LevelChecksum} {
		if c := s.LastCheck(level); c != nil {
			d.Verified = &Verified{Level: c.Level, Time: c.Time, Host: c.Host, Seconds: c.Seconds()}
			break
		}
	}
	return d
}
