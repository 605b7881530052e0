package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// checkSignatures tries the key that sets are signed with, its passphrase included,
// and reads the keys whose signatures count.
func checkSignatures(ctx context.Context, x *exam) []Finding {
	signer, err := x.Signer(ctx)
	var all []Finding
	switch {
	case errors.Is(err, errNotGiven):
		return unknown(err)
	case err != nil:
		all = append(all, found(Critical, []string{"forgectl config show backup.encrypt"}, "%v: no backup can be made", err))
	case signer == nil:
		all = append(all, found(Info, nil, "sets are not signed: whoever can write to the repository can forge one"))
	default:
		all = append(all, judgeSigner(signer, x.Now()))
	}
	policy, err := x.Provenance()
	if err != nil {
		return append(all, unknown(err)...)
	}
	return append(all, judgeSigners(policy)...)
}

func judgeSigner(s *seal.Signer, now time.Time) Finding {
	who := s.UserID()
	if who == "" {
		who = s.Fingerprint()
	}
	end, ends := s.Expires()
	switch {
	case ends && end.Before(now.Add(soon)):
		return found(Warning, []string{
			fmt.Sprintf("gpg --quick-set-expire %s 2y   # where the key was made", s.Fingerprint()),
			fmt.Sprintf("gpg --quick-set-expire %s 2y '*'", s.Fingerprint()),
			fmt.Sprintf("gpg --export-secret-keys %s >sign.key   # and replace backup.encrypt.sign_key_file", s.Fingerprint()),
			fmt.Sprintf("gpg --export %s >sign.pub   # and replace it in verify.signer_files of other hosts", s.Fingerprint()),
		}, "signing key %s expires %s, in %s: no backup can be made then", who, day(end), days(end.Sub(now)))
	case ends:
		return found(OK, nil, "sets can be signed by %s until %s", who, day(end))
	}
	return found(OK, nil, "sets can be signed by %s without an end", who)
}

// judgeSigners says what is to be said of the keys that signatures are checked with: of a key that was
// replaced its older signatures still count, so its end is nobody's trouble.
func judgeSigners(p provenance.Policy) []Finding {
	switch {
	case p.Trouble != nil && p.Require:
		return []Finding{found(Critical, []string{"forgectl config show verify"}, "%v: signatures are required and cannot be checked", p.Trouble)}
	case p.Trouble != nil:
		return []Finding{found(Warning, []string{"forgectl config show verify"}, "%v: signatures by that key are not checked", p.Trouble)}
	case p.Require && len(p.Signers) == 0:
		return []Finding{found(Critical, []string{"forgectl config show verify"}, "signatures are required, but no key is accepted: no set can be restored")}
	}
	return nil
}
