package backup_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
)

// signerOf signs with the key of an entity.
func signerOf(t testing.TB, e *openpgp.Entity) *seal.Signer {
	t.Helper()
	_, secret := sealtest.Serialize(t, e)
	path := filepath.Join(t.TempDir(), "sign.key")
	must(t, os.WriteFile(path, secret, 0o600))
	s, err := seal.NewSigner(t.Context(), seal.SignerOptions{File: path})
	must(t, err)
	return s
}

// brokenSigner is a key whose file went away while the backup ran.
type brokenSigner struct {
	catalog.Signer
	err error
}

func (b brokenSigner) Sign(context.Context, []byte) ([]byte, error) { return nil, b.err }

// Promise: a backup that is given a signer is signed, and says by whom; one whose key fails in the end leaves nothing.
func TestSigned(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, "CREATE TABLE t AS SELECT 1 AS i")
	key := sealtest.Entity(t, "host", nil)
	public, _ := sealtest.Serialize(t, key)
	c, dir := repository(t)
	o := options(e, c)
	o.Signer = signerOf(t, key)
	r, err := backup.Database(t.Context(), o)
	must(t, err)
	f, err := provenance.Policy{Signers: seal.Signers{sealtest.Key(t, public)}, Require: true}.Examine(t.Context(), c, r.Set)
	if err != nil || f.State != provenance.Good || f.By.UserID != "host <host@example.org>" {
		t.Errorf("%+v, %v", f, err)
	}
	before := files(t, dir)
	broken := errors.New("open sign.key: no such file")
	o.Signer = brokenSigner{o.Signer, broken}
	if _, err := backup.Database(t.Context(), o); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if after := files(t, dir); !slices.Equal(before, after) {
		t.Errorf("left:\n%q\nbefore:\n%q", after, before)
	}
}
