package seal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Holds says whether the keyring in the directory home has the secret part that opens messages to a key. gpg is
// asked for the key's grips only, and their files are looked for: no agent is started, and nobody is asked for a
// passphrase. A key on a card counts as held.
func (g GPG) Holds(ctx context.Context, home, fingerprint string) (bool, error) {
	secrets := filepath.Join(home, "private-keys-v1.d")
	if _, err := os.Stat(secrets); errors.Is(err, fs.ErrNotExist) {
		return false, nil // gpg itself would make the directories now
	} else if err != nil {
		return false, fmt.Errorf("look for secret key %s: %w", fingerprint, err)
	}
	g.Home = home
	listing, err := proc.Output(ctx, g.Runner, g.command("--no-autostart", "--with-colons", "--with-keygrip", "--list-keys"))
	if err != nil {
		return false, fmt.Errorf("look for secret key %s: %w", fingerprint, err)
	}
	// doc/DETAILS of GnuPG: pub, fpr, grp, uid, sub, fpr, grp, … with the capabilities in field 12.
	ours, opens := false, false
	for line := range strings.Lines(string(listing)) {
		fields := append(strings.Split(strings.TrimSpace(line), ":"), make([]string, 12)...)
		switch fields[0] {
		case "pub":
			ours, opens = false, strings.Contains(fields[11], "e")
		case "sub":
			opens = strings.Contains(fields[11], "e")
		case "fpr":
			ours = ours || strings.EqualFold(fields[9], fingerprint)
		case "grp":
			if !ours || !opens {
				continue
			}
			if _, err := os.Stat(filepath.Join(secrets, filepath.Base(fields[9])+".key")); err == nil {
				return true, nil
			}
		}
	}
	return false, nil
}
