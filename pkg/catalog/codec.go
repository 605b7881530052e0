package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// encodeJSON is how every JSON file of a set is written.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// decodeJSON fills v if the schema number is ours. Of a newer schema nothing but the number is understood.
func decodeJSON(data []byte, v any, schema *int) error {
	err := json.Unmarshal(data, v)
	if err != nil {
		var head struct {
			Schema int `json:"schema"`
		}
		if json.Unmarshal(data, &head) != nil {
			return err
		}
		*schema = head.Schema
	}
	if *schema > SchemaVersion {
		return fmt.Errorf("schema %d: %w", *schema, ErrNewer)
	}
	if err == nil && *schema < 1 {
		err = errors.New("no schema number")
	}
	return err
}

func decodeManifest(data []byte) (*Manifest, error) {
	m := new(Manifest)
	if err := decodeJSON(data, m, &m.Schema); err != nil {
		return nil, err
	}
	return m, nil
}

// validate holds the manifest to what every reader relies on, and to the directory that it lies in.
func (m *Manifest) validate(ref Ref) error {
	switch {
	case m.ID != ref.ID:
		return fmt.Errorf("id %q is not the name of the directory", string(m.ID))
	case m.Kind != ref.Kind || m.Database != ref.Database:
		return fmt.Errorf("kind %q, database %q: it belongs in another directory", string(m.Kind), m.Database)
	}
	seen := map[string]bool{}
	for _, a := range m.Artifacts {
		if err := a.validate(); err != nil {
			return err
		}
		if seen[a.Name] {
			return fmt.Errorf("artifact %s occurs twice", a.Name)
		}
		seen[a.Name] = true
	}
	if c := m.Contents; c != nil && min(c.Files, c.Directories, c.Links, c.Bytes) < 0 {
		return errors.New("contents are negative")
	}
	for _, r := range m.References {
		if _, err := ParseRef(r); err != nil {
			return fmt.Errorf("reference: %w", err)
		}
	}
	for r, sum := range m.ReferenceSums {
		if !slices.Contains(m.References, r) || !isHash(sum) {
			return fmt.Errorf("the sum of %q, which is no reference or has a malformed hash", r)
		}
	}
	return nil
}

func (a Artifact) isTree() bool { return strings.HasSuffix(a.Name, "/") }

func (a Artifact) validate() error {
	switch {
	case !coverable(strings.TrimSuffix(a.Name, "/")) || a.Name == ManifestName:
		return fmt.Errorf("artifact name %q does not belong here", a.Name)
	case a.Bytes < 0 || a.RawBytes < 0:
		return fmt.Errorf("artifact %s has a negative size", a.Name)
	case a.isTree() && a.SHA256 != "", !a.isTree() && !isHash(a.SHA256), a.RawSHA256 != "" && !isHash(a.RawSHA256):
		return fmt.Errorf("artifact %s has a malformed hash", a.Name)
	}
	return nil
}
