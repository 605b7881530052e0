package catalog

import (
	"context"
	"fmt"
	"slices"
)

// Publish writes the manifest, the signature and SHA256SUMS and makes the draft a set. Schema, ID, Kind, Database and
// Signature of m are filled in, and Started, Finished, Host and Forgectl if they are empty. Every artifact of m must have been put;
// its Bytes and SHA256 are filled in if they are empty and must be right otherwise. Files that are no artifacts
// may be put as well.
//
// After an error nothing is published and the draft can only be discarded; except that the set may have been
// published and then could not be read back, which the error says.
func (d *Draft) Publish(ctx context.Context, m Manifest) (Set, error) {
	if err := d.publish(ctx, m); err != nil {
		return Set{}, fmt.Errorf("publish %s: %w", d.ref, err)
	}
	// It is published: whoever cancels now comes too late.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	if d.renamer == nil {
		d.c.unmark(ctx, d.ref)
	}
	set, err := d.c.Get(ctx, d.ref)
	if err == nil {
		err = set.Problem
	}
	if err != nil {
		return set, fmt.Errorf("published, but cannot be read back: %w", err)
	}
	return set, nil
}

func (d *Draft) publish(ctx context.Context, m Manifest) error {
	m, err := d.complete(m)
	if err != nil {
		return err
	}
	if err := d.inspect(ctx, m); err != nil {
		return err
	}
	data, err := encodeJSON(m)
	if err != nil {
		return fmt.Errorf("encode %s: %w", ManifestName, err)
	}
	if len(data) > maxManifest {
		return fmt.Errorf("%s is larger than %d bytes", ManifestName, maxManifest)
	}
	if _, err := d.put(ctx, ManifestName, writeAll(data)); err != nil {
		return err
	}
	sums := d.sums()
	if err := d.sign(ctx, sums); err != nil {
		return err
	}
	if err := d.c.store.Put(ctx, d.dir+"/"+SumsName, writeAll(sums)); err != nil {
		return err
	}
	if d.renamer != nil {
		if err := d.renamer.Rename(ctx, d.dir, d.ref.Dir()); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.published = true
	return nil
}

// complete fills in what the draft knows, and checks what it can.
func (d *Draft) complete(m Manifest) (Manifest, error) {
	m.Schema, m.ID, m.Kind, m.Database = SchemaVersion, d.ref.ID, d.ref.Kind, d.ref.Database
	if m.Started.IsZero() {
		m.Started = d.started
	}
	if m.Finished.IsZero() {
		m.Finished = d.c.now()
	}
	m.Started, m.Finished = m.Started.UTC(), m.Finished.UTC()
	if m.Host == "" {
		m.Host = d.c.host
	}
	if m.Forgectl == "" {
		m.Forgectl = d.c.version
	}
	m.Signature = signatureOf(d.signer)
	m.Warnings = slices.Clone(m.Warnings)
	for _, w := range d.Warnings {
		if !slices.Contains(m.Warnings, w) {
			m.Warnings = append(m.Warnings, w)
		}
	}
	m.Artifacts = append([]Artifact{}, m.Artifacts...) // "[]", not null, and not the caller's
	for i := range m.Artifacts {
		if err := d.matchBlob(&m.Artifacts[i]); err != nil {
			return m, err
		}
	}
	return m, m.validate(d.ref)
}

func (d *Draft) matchBlob(a *Artifact) error {
	if a.isTree() {
		return nil
	}
	d.mu.Lock()
	blob := d.blobs[a.Name]
	d.mu.Unlock()
	if blob.Name == "" {
		return fmt.Errorf("artifact %q was not put", a.Name)
	}
	if a.SHA256 == "" && a.Bytes == 0 {
		a.Bytes, a.SHA256 = blob.Bytes, blob.SHA256
	}
	if a.Bytes != blob.Bytes || a.SHA256 != blob.SHA256 {
		return fmt.Errorf("artifact %s: the manifest says %d bytes, %s; written were %d bytes, %s", a.Name, a.Bytes, a.SHA256, blob.Bytes, blob.SHA256)
	}
	return nil
}

// inspect makes sure that the directory holds what was put, and nothing that SHA256SUMS would not cover.
func (d *Draft) inspect(ctx context.Context, m Manifest) error {
	entries, err := d.c.store.List(ctx, d.dir)
	if err != nil {
		return err
	}
	expected := map[string]int64{}
	d.mu.Lock()
	for name, blob := range d.blobs {
		if blob.Name == "" {
			d.mu.Unlock()
			return fmt.Errorf("%s is still being written", name)
		}
		expected[name] = blob.Bytes
	}
	marked := d.marked
	d.mu.Unlock()
	for _, a := range m.Artifacts {
		if a.isTree() {
			expected[a.Name] = 0
		}
	}
	for _, e := range entries {
		if e.Dir {
			e.Name += "/"
		}
		if marked && e.Name == ChecksDir+"/" {
			continue
		}
		size, ok := expected[e.Name]
		if !ok || e.Irregular {
			return fmt.Errorf("%s is in the draft, but nobody put it there", e.Name)
		}
		if size != e.Size {
			return fmt.Errorf("%s has %d bytes instead of %d", e.Name, e.Size, size)
		}
		delete(expected, e.Name)
	}
	for name := range expected {
		return fmt.Errorf("%s has vanished from the draft", name)
	}
	return nil
}

func (d *Draft) sums() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	var sums []Sum
	for _, b := range d.blobs {
		sums = append(sums, Sum{Name: b.Name, SHA256: b.SHA256})
	}
	return formatSums(sums)
}
