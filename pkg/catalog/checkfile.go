package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/store"
)

// checkTimeLayout is how the name of a check file spells its time.
const checkTimeLayout = "20060102T150405.000000Z"

var noHash = strings.Repeat("0", 64)

// AddCheck adds a check to a set. Schema and SHA256 are filled in; so are Time, Host and Forgectl if they are
// empty. A Time that is not later than that of the newest check becomes a microsecond more than that, so that
// the order by time is the order of writing.
func (c *Catalog) AddCheck(ctx context.Context, ref Ref, check Check) error {
	if err := c.addCheck(ctx, ref, check); err != nil {
		return fmt.Errorf("add check: %w", err)
	}
	return nil
}

func (c *Catalog) addCheck(ctx context.Context, ref Ref, check Check) error {
	if err := ref.Validate(); err != nil {
		return err
	}
	if err := c.exists(ctx, ref); err != nil {
		return err
	}
	return c.putCheck(ctx, ref.Dir(), check)
}

// putCheck writes a check into the directory of a set or of a draft.
func (c *Catalog) putCheck(ctx context.Context, dir string, check Check) error {
	newest, err := c.newestCheck(ctx, dir)
	if err != nil {
		return err
	}
	check.Schema = SchemaVersion
	if check.Time.IsZero() {
		check.Time = c.now()
	}
	check.Time = check.Time.UTC().Truncate(time.Microsecond)
	if !check.Time.After(newest) {
		check.Time = newest.Add(time.Microsecond)
	}
	if check.Host == "" {
		check.Host = c.host
	}
	if check.Forgectl == "" {
		check.Forgectl = c.version
	}
	data, err := encodeCheck(check)
	if err != nil {
		return err
	}
	// Whoever reads it must be able to; a time or an event that has no spelling is the caller's mistake.
	if _, err := decodeCheck(check.fileName(), data); err != nil {
		return err
	}
	return c.store.Put(ctx, dir+"/"+ChecksDir+"/"+check.fileName(), func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// newestCheck is the largest time that a check file's name has, whether the file is damaged or not.
func (c *Catalog) newestCheck(ctx context.Context, dir string) (newest time.Time, err error) {
	entries, err := c.store.List(ctx, dir+"/"+ChecksDir)
	if err != nil {
		return newest, err
	}
	for _, e := range entries {
		stamp, _, _ := strings.Cut(e.Name, "-")
		if t, err := time.Parse(checkTimeLayout, stamp); err == nil && t.After(newest) {
			newest = t
		}
	}
	return newest, nil
}

// fileName is the name that a check has below checks/.
func (k Check) fileName() string {
	return k.Time.UTC().Format(checkTimeLayout) + "-" + EscapeName(k.Host) + "-" + k.What + ".json"
}

// encodeCheck writes the file with zeros for its hash, and then the hash in their place.
func encodeCheck(k Check) ([]byte, error) {
	k.SHA256 = noHash
	data, err := encodeJSON(k)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	at := bytes.LastIndex(data, hashMember(noHash)) // the last member: earlier text does not matter
	hex.Encode(data[at+len(hashMember("")):], sum[:])
	return data, nil
}

// hashMember is the hash and what stands before it in the file.
func hashMember(hash string) []byte { return []byte(`"sha256": "` + hash) }

// decodeCheck reads a check file. errHash is the error of one whose hash is wrong.
func decodeCheck(name string, data []byte) (Check, error) {
	// The hash comes first, and is the same in every schema: else a flipped bit could make a check that is damaged
	// one that is only newer.
	hash, err := checkHash(data)
	if err != nil {
		return Check{}, err
	}
	var k Check
	if err := decodeJSON(data, &k, &k.Schema); err != nil {
		return Check{}, err
	}
	if k.SHA256 != hash {
		return Check{}, errNoHash
	}
	if k.What == "" || strings.ContainsFunc(k.What, func(r rune) bool { return r < 'a' || r > 'z' }) {
		return Check{}, fmt.Errorf("what %q: %w", k.What, ErrInvalid)
	}
	if k.fileName() != name {
		return Check{}, fmt.Errorf("it belongs in %s", k.fileName())
	}
	return k, nil
}

// checkHash is the hash that the file says it has, if it has it.
func checkHash(data []byte) (string, error) {
	at := bytes.LastIndex(data, hashMember("")) + len(hashMember(""))
	if at < len(hashMember("")) || len(data) < at+len(noHash) || !isHash(string(data[at:at+len(noHash)])) {
		return "", errNoHash
	}
	zeroed := slices.Clone(data)
	copy(zeroed[at:], noHash)
	hash := string(data[at : at+len(noHash)])
	if sum := sha256.Sum256(zeroed); hex.EncodeToString(sum[:]) != hash {
		return "", errHash
	}
	return hash, nil
}

var (
	errHash   = errors.New("wrong hash")
	errNoHash = errors.New("no hash of its own")
)

// readChecks reads all checks of a set in the order of their times. The error is that of the first that is
// damaged or cannot be read; the others are returned with it.
func (c *Catalog) readChecks(ctx context.Context, ref Ref) (checks []Check, first error) {
	entries, err := c.store.List(ctx, ref.Dir()+"/"+ChecksDir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	if len(entries) == 0 {
		// Either there are none, or the set has just been removed.
		return nil, c.exists(ctx, ref)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name, ".json") || e.Name[0] == '.' {
			continue // not ours: an editor's, a sync tool's
		}
		k, err := c.readCheck(ctx, ref, e)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		checks = append(checks, k)
	}
	slices.SortStableFunc(checks, func(a, b Check) int { return a.Time.Compare(b.Time) })
	return checks, first
}

func (c *Catalog) readCheck(ctx context.Context, ref Ref, e store.Entry) (Check, error) {
	name := ChecksDir + "/" + e.Name
	data, err := c.readFile(ctx, ref, name, e.Size, maxCheck)
	if err != nil {
		return Check{}, err
	}
	k, err := decodeCheck(e.Name, data)
	switch {
	case errors.Is(err, errHash):
		return Check{}, &DamageError{Ref: ref, Artifact: name, Kind: DamageChecksum}
	case errors.Is(err, ErrNewer):
		return Check{}, fmt.Errorf("%s: %s: %w", ref, name, err)
	case err != nil:
		return Check{}, &DamageError{Ref: ref, Artifact: name, Kind: DamageMalformed, Err: err}
	}
	return k, nil
}
