package backup

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// ErrPlain means that sealing is required and nobody is named to seal to.
var ErrPlain = errors.New("encryption is required, but there is no recipient")

// Sealing says how the artifacts of a set are packed and sealed, and how far they are read back.
type Sealing struct {
	Seal          seal.Options
	RequireSealed bool   // refuse to write a plain set
	Readback      string // catalog.Readback…; default decode
}

func (s Sealing) withDefaults() Sealing {
	s.Readback = cmp.Or(s.Readback, catalog.ReadbackDecode)
	return s
}

func (s Sealing) sealed() bool { return len(s.Seal.Recipients) > 0 }

// check stops a run that would prove less than somebody meant it to, or whose set could not be opened by all who should.
func (s Sealing) check() error {
	if s.Readback != catalog.ReadbackHash && s.Readback != catalog.ReadbackDecode {
		return fmt.Errorf("unknown read-back level %q", s.Readback)
	}
	if s.RequireSealed && !s.sealed() {
		return ErrPlain
	}
	now := time.Now
	if s.Seal.Now != nil {
		now = s.Seal.Now
	}
	for _, k := range s.Seal.Recipients {
		if err := k.CanEncrypt(now()); err != nil {
			return fmt.Errorf("check recipient: %w", err)
		}
	}
	return nil
}

// encryption is what the manifest says of the recipients; nil without any.
func (s Sealing) encryption() *catalog.Encryption {
	if !s.sealed() {
		return nil
	}
	e := &catalog.Encryption{Format: "openpgp"}
	for _, k := range s.Seal.Recipients {
		e.Recipients = append(e.Recipients, catalog.Recipient{Fingerprint: k.Fingerprint(), UserID: k.UserID()})
	}
	return e
}
