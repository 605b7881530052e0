package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// soon is how long before its end a key is spoken of.
const soon = 30 * 24 * time.Hour

// checkKeys looks at the keys that sets are sealed to.
func checkKeys(ctx context.Context, x *exam) []Finding {
	keys, err := x.sealTo(ctx)
	if errors.Is(err, errNotGiven) {
		return unknown(err)
	}
	if err != nil {
		return []Finding{found(Critical, []string{"forgectl config show backup.encrypt"}, "%v: no backup can be made", err)}
	}
	if len(keys) == 0 {
		level := Warning
		if x.RequireSealed {
			level = Critical
		}
		return []Finding{found(level, []string{"forgectl config show backup.encrypt"}, "backups are sealed to nobody")}
	}
	var all []Finding
	for _, k := range keys {
		all = append(all, judgeKey(k, x.Now()))
	}
	return all
}

func judgeKey(k *seal.Key, now time.Time) Finding {
	renew := []string{
		fmt.Sprintf("gpg --quick-set-expire %s 2y   # where the secret key is", k.Fingerprint()),
		fmt.Sprintf("gpg --quick-set-expire %s 2y '*'", k.Fingerprint()),
		fmt.Sprintf("gpg --export --armor %s >backup.pub.asc   # and replace the recipient file, or gpg --import it", k.Fingerprint()),
	}
	if err := k.CanEncrypt(now); err != nil {
		return found(Critical, renew, "%v: no backup can be made", err)
	}
	end, ends := k.Expires()
	if ends && end.Before(now.Add(soon)) {
		return found(Warning, renew, "key %s expires %s, in %s", name(k), day(end), days(end.Sub(now)))
	}
	until := "without an end"
	if ends {
		until = "until " + day(end)
	}
	return found(OK, nil, "sets can be sealed to %s %s", name(k), until)
}

func name(k *seal.Key) string {
	if id := k.UserID(); id != "" {
		return id
	}
	return k.Fingerprint()
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

// days says how long something is, without more precision than matters.
func days(d time.Duration) string {
	if d < 2*time.Hour {
		return count(int(d/time.Minute), "minute")
	}
	if d < 48*time.Hour {
		return count(int(d/time.Hour), "hour")
	}
	return count(int(d/(24*time.Hour)), "day")
}

// checkSecretKey says whether this host can open its own sets. On the host of the
// application that is a risk, for a restore a need: so it is said, and nothing more.
func checkSecretKey(ctx context.Context, x *exam) []Finding {
	sealed, err := x.sealedTo(ctx)
	if err != nil {
		return unknown(err)
	}
	s := x.secretKeys(ctx)
	all := slices.Clone(s.trouble)
	remedy := []string{"forgectl config show backup.decrypt.secret_key_files"}
	switch {
	case len(s.fit) > 0:
		return append(all, found(Info, nil, "the secret key of %s is on this host: whoever takes the host over reads every set; on the host of the application it belongs for the time of a restore only",
			strings.Join(s.fit, ", ")))
	case len(s.other) > 0:
		return append(all, found(Critical, remedy, "the secret keys on this host, of %s, open nothing: the newest set is sealed to %s", strings.Join(s.other, ", "), strings.Join(sealed, ", ")))
	case len(all) > 0:
		return all
	case len(sealed) == 0:
		return ok("no secret key is here, and none is needed")
	}
	return ok("no secret key is on this host; for a restore bring that of %s", strings.Join(sealed, " or "))
}

// secrets are the secret keys of this host.
type secrets struct {
	fit, other []string // names of those that open the newest set, and of the others
	trouble    []Finding
}

func (x *exam) secretKeys(ctx context.Context) secrets {
	s, _ := x.secrets.get(func() (s secrets, _ error) {
		sealed, err := x.sealedTo(ctx)
		if err != nil {
			return s, nil //nolint:nilerr // checkSecretKey says so
		}
		for _, path := range x.SecretKeyFiles {
			s.file(path, sealed)
		}
		for _, fingerprint := range sealed {
			if x.GPGHolds == nil {
				break
			}
			holds, err := x.GPGHolds(ctx, fingerprint)
			if err != nil {
				s.trouble = append(s.trouble, unknown(fmt.Errorf("ask gpg for secret key %s: %w", fingerprint, err))...)
			}
			if holds {
				s.fit = append(s.fit, fingerprint+" (gpg)")
			}
		}
		return s, nil
	})
	return s
}

// file reads one of the configured files.
func (s *secrets) file(path string, sealed []string) {
	keys, err := seal.ReadKeyFile(path)
	had := len(s.fit) + len(s.other)
	for _, k := range keys {
		switch {
		case !k.HasSecret():
		case len(sealed) == 0 || slices.Contains(sealed, k.Fingerprint()):
			s.fit = append(s.fit, name(k))
		default:
			s.other = append(s.other, name(k))
		}
	}
	if err == nil && len(s.fit)+len(s.other) == had {
		err = fmt.Errorf("%s holds public keys only", path)
	}
	if err != nil {
		s.trouble = append(s.trouble, found(Critical, []string{"forgectl config show backup.decrypt.secret_key_files"}, "secret key: %v", err))
	}
}

// sealedTo are the fingerprints that open the newest set, or without one those
// that sets will be sealed to.
func (x *exam) sealedTo(ctx context.Context) ([]string, error) {
	sets, err := x.listed(ctx)
	if err == nil {
		if set, good := x.newestGood(ctx, sets); good {
			return fingerprints(set), nil
		}
	}
	keys, rerr := x.sealTo(ctx)
	if rerr != nil {
		return nil, rerr
	}
	var all []string
	for _, k := range keys {
		all = append(all, k.Fingerprint())
	}
	return all, nil
}

func fingerprints(s catalog.Set) []string {
	var all []string
	if s.Manifest != nil && s.Manifest.Encryption != nil {
		for _, r := range s.Manifest.Encryption.Recipients {
			all = append(all, r.Fingerprint)
		}
	}
	slices.Sort(all)
	return all
}

// canOpen says whether a secret key is here, for what only those need who have one.
func (x *exam) canOpen(ctx context.Context) bool { return len(x.secretKeys(ctx).fit) > 0 }
