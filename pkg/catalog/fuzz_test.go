package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// same reports whether two values are written in the same way.
func same(t *testing.T, a, b any) bool {
	t.Helper()
	first, err := encodeJSON(a)
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	second, err := encodeJSON(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(first, second)
}

// A manifest that is accepted comes back from what it is written as, and is accepted again.
func FuzzManifest(f *testing.F) {
	ref := Ref{Group{KindDatabase, "bmad_forge"}, "20261123T020000Z"}
	began := time.Date(2026, 11, 23, 2, 0, 0, 123456789, time.UTC)
	whole, err := encodeJSON(Manifest{
		Schema: 1, ID: ref.ID, Kind: ref.Kind, Database: ref.Database, Started: began, Finished: began.Add(time.Minute), Host: "web1", Forgectl: "1.0.0",
		Source:      &Source{Database: "bmad_forge", ServerVersionNum: 150018, Encoding: "UTF8", Bytes: 1 << 40},
		Tools:       map[string]string{"pg_dump": "15.18"},
		Artifacts:   []Artifact{{Name: "20-data.dump.zst.gpg", Bytes: 5, SHA256: strings.Repeat("0a", 32), RawBytes: 7, RawSHA256: strings.Repeat("0b", 32)}, {Name: "tree/"}},
		Encryption:  &Encryption{Format: "openpgp", Recipients: []Recipient{{Fingerprint: "AB", UserID: "Größe <x@example.org>"}}},
		Fingerprint: &Fingerprint{Level: FingerprintFull, Tables: []Table{{Schema: "public", Name: "a\u2028b", Rows: 1, Hash: "-1"}}, Sequences: []Sequence{{Value: -1, Called: true}}, LargeObjects: &LargeObjects{1, -1}},
		Readback:    ReadbackDecode, Incomplete: []string{"x"}, Warnings: []string{"<&>"}, References: []string{"media/20261123T020000Z"},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	for _, s := range []string{`{"schema":1}`, `{"schema":2,"artifacts":7}`, `{"schema":1,"started":"2026-11-23T02:00:00+01:00","artifacts":null}`, `{"Schema":1,"tools":{"a":"\ud800"}}`, `null`, `[]`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeManifest(data)
		if err != nil {
			return
		}
		written, err := encodeJSON(m)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := decodeManifest(written)
		if err != nil || !same(t, m, again) {
			t.Fatalf("%s\ncomes back as %+v, %v", written, again, err)
		}
		if (m.validate(ref) == nil) != (again.validate(ref) == nil) {
			t.Errorf("%v, then %v", m.validate(ref), again.validate(ref))
		}
	})
}

// A check that is accepted has the hash and the name that it is written with, and comes back the same.
func FuzzCheck(f *testing.F) {
	began := time.Date(2026, 11, 23, 2, 0, 0, 123456000, time.UTC)
	for _, k := range []Check{
		{Schema: 1, Time: began, Host: "web1", Forgectl: "1.0.0", What: CheckVerify, Level: LevelDrill, Problems: []string{"a", `"sha256": "` + noHash}, Stages: []Stage{{"load", 1.5}}, Tools: map[string]string{"sha256": noHash}},
		{Schema: 1, Time: began, Host: "Größe/..", What: CheckPin, Reason: "before <the> migration"},
	} {
		data, err := encodeCheck(k)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, true)
		f.Add(data, false)
		f.Add(bytes.Replace(data, []byte(`"schema": 1`), []byte(`"schema": 2`), 1), true)
	}
	f.Add([]byte(`{"schema": 1, "sha256": "`), true)
	f.Fuzz(func(t *testing.T, data []byte, rehash bool) {
		if at := bytes.LastIndex(data, hashMember("")) + len(hashMember("")); rehash && at >= len(hashMember("")) && len(data) >= at+len(noHash) {
			data = bytes.Clone(data)
			copy(data[at:], noHash)
			sum := sha256.Sum256(data)
			hex.Encode(data[at:], sum[:])
		}
		var named Check
		_ = json.Unmarshal(data, &named)
		k, err := decodeCheck(named.fileName(), data)
		if err != nil {
			return
		}
		if _, err := decodeCheck("20261123T020000.000000Z-other-pin.json", data); err == nil && named.Host != "other" {
			t.Error("it is accepted under another name")
		}
		written, err := encodeCheck(k)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := decodeCheck(k.fileName(), written)
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		k.SHA256, again.SHA256 = "", ""
		if !same(t, k, again) {
			t.Errorf("%+v comes back as %+v", k, again)
		}
	})
}
