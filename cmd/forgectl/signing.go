package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// Signer is what sets are signed with, proven able to; nil when they are not signed.
func (a *App) Signer(ctx context.Context) (*seal.Signer, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	e := cfg.Backup.Encrypt
	switch {
	case e.SignKeyFile == "" && cfg.Verify.RequireSignature:
		return nil, withHint(unknown("verify.require_signature is set, and there is no key to sign with: the set would not count"), "set backup.encrypt.sign_key_file")
	case e.SignKeyFile == "":
		return nil, nil
	}
	o := seal.SignerOptions{File: e.SignKeyFile, Now: a.Now}
	if e.SignPassphraseFile != "" || e.SignPassphraseCommand != "" {
		o.Passphrase = func(ctx context.Context) ([]byte, error) {
			return a.secret(ctx, e.SignPassphraseFile, e.SignPassphraseCommand)
		}
	}
	s, err := seal.NewSigner(ctx, o)
	if err == nil {
		return s, nil
	}
	if errors.Is(err, seal.ErrPassphrase) { // which names the key, and perhaps another file
		return nil, withHint(withCode(exitUnknown, err), "set backup.encrypt.sign_passphrase_file or sign_passphrase_command")
	}
	named := withCode(exitUnknown, fmt.Errorf("signing key %s: %w", e.SignKeyFile, plainPath(err)))
	if errors.Is(err, seal.ErrKeyExpired) {
		return nil, withHint(named, "prolong it where it was made (gpg --quick-set-expire), and export it to that file again")
	}
	return nil, withHint(named, "forgectl config show backup.encrypt.sign_key_file")
}

// Provenance is whose signatures count. Keys that cannot be read are trouble for
// those sets only that need them.
func (a *App) Provenance() (provenance.Policy, error) {
	cfg, err := a.Config()
	if err != nil {
		return provenance.Policy{}, err
	}
	p := provenance.Policy{Require: cfg.Verify.RequireSignature, Now: a.Now}
	read := func(file, hint string) {
		keys, err := seal.ReadPublicKeyFile(file)
		if err != nil {
			err = withHint(withCode(exitUnknown, fmt.Errorf("read %s: %w", file, plainPath(err))), "%s", hint)
			p.Trouble = all(p.Trouble, err)
		}
		p.Signers = append(p.Signers, keys...)
	}
	for _, file := range cfg.Verify.SignerFiles {
		read(file, "forgectl config show verify.signer_files")
	}
	if file := cfg.Backup.Encrypt.SignKeyFile; file != "" {
		read(file, "name a file with its public half in verify.signer_files")
	}
	return p, nil
}

// group lists the sets of a group, once however often it is asked.
func (r *repository) group() func(context.Context, catalog.Group) ([]catalog.Set, error) {
	known := map[catalog.Group][]catalog.Set{}
	return func(ctx context.Context, g catalog.Group) ([]catalog.Set, error) {
		if sets, ok := known[g]; ok {
			return sets, nil
		}
		sets, err := r.List(ctx, g)
		if err == nil {
			known[g] = sets
		}
		return sets, err
	}
}

// signedBy says by whom a set is signed, to people.
func signedBy(out *ui.Streams, f provenance.Finding) string {
	switch {
	case f.Damage != nil:
		var d *catalog.DamageError
		if errors.As(f.Damage, &d) {
			return out.Bad(d.Reason())
		}
		return out.Bad(f.Damage.Error())
	case f.State == provenance.None:
		return "nobody"
	case f.State == provenance.Good:
		return f.Signer() + ", " + timestamp(f.By.Time) + ": " + out.Good("checked")
	case f.Warning != "":
		return out.Warn(f.Warning)
	}
	return out.Warn("not checked")
}
