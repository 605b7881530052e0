package seal

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// gnupg is a real GnuPG with a home of its own.
type gnupg struct {
	t    testing.TB
	home string
}

// newGnuPG makes one whose agent ends with the test. The path is short: the agent's socket lies in it.
func newGnuPG(t testing.TB) *gnupg {
	t.Helper()
	home, err := os.MkdirTemp("/tmp", "fg")
	if err != nil {
		t.Fatal(err)
	}
	g := &gnupg{t, home}
	// Few rounds for passphrases: they only cost time here.
	if err := os.WriteFile(home+"/gpg-agent.conf", []byte("s2k-count 65536\nallow-preset-passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("gpgconf", "--homedir", home, "--kill", "all").CombinedOutput(); err != nil {
			t.Errorf("gpgconf: %v\n%s", err, out)
		}
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	return g
}

// lib is the same one for the package.
func (g *gnupg) lib() GPG {
	return GPG{Runner: proc.System{Environ: os.Environ()}, Home: g.home}
}

func (g *gnupg) try(stdin []byte, args ...string) (stdout []byte, stderr string, err error) {
	args = append([]string{"--homedir", g.home, "--batch", "--no-tty", "--pinentry-mode", "loopback", "--trust-model", "always"}, args...)
	cmd := exec.Command("gpg", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err = cmd.Run()
	return out.Bytes(), log.String(), err
}

func (g *gnupg) run(stdin []byte, args ...string) []byte {
	g.t.Helper()
	out, log, err := g.try(stdin, args...)
	if err != nil {
		g.t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, log)
	}
	return out
}

// key makes a key by GnuPG's batch language and returns the fingerprint.
func (g *gnupg) key(name, algorithm, expire string) string {
	g.t.Helper()
	params := map[string]string{
		"rsa":       "Key-Type: RSA\nKey-Length: 3072\nKey-Usage: sign,cert\nSubkey-Type: RSA\nSubkey-Length: 3072\nSubkey-Usage: encrypt\n",
		"ecc":       "Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: sign,cert\nSubkey-Type: ECDH\nSubkey-Curve: cv25519\nSubkey-Usage: encrypt\n",
		"sign-only": "Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: sign,cert\n",
		"one-key":   "Key-Type: RSA\nKey-Length: 3072\nKey-Usage: sign,cert,encrypt\n",
		"sub-sign":  "Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: cert\nSubkey-Type: EDDSA\nSubkey-Curve: ed25519\nSubkey-Usage: sign\n",
	}[algorithm]
	return g.batch(params + "Name-Real: " + name + "\nName-Email: " + name + "@example.org\nExpire-Date: " + expire + "\n%no-protection\n")
}

var createdLine = regexp.MustCompile(`KEY_CREATED \S ([0-9A-F]{40})`)

func (g *gnupg) batch(params string) string {
	g.t.Helper()
	out := g.run([]byte(params+"%commit\n"), "--status-fd", "1", "--gen-key")
	m := createdLine.FindSubmatch(out)
	if m == nil {
		g.t.Fatalf("gpg made no key:\n%s", out)
	}
	return string(m[1])
}

func (g *gnupg) public(name string) []byte { return g.run(nil, "--export", name) }

func (g *gnupg) secret(name string) []byte { return g.run(nil, "--export-secret-keys", name) }

// revoke uses the certificate that gpg made with the key, which a colon protects against accidents.
func (g *gnupg) revoke(fingerprint string) {
	g.t.Helper()
	cert, err := os.ReadFile(g.home + "/openpgp-revocs.d/" + fingerprint + ".rev")
	if err != nil {
		g.t.Fatal(err)
	}
	g.run(bytes.ReplaceAll(cert, []byte(":-----BEGIN"), []byte("-----BEGIN")), "--import")
}

// restartAgent makes the agent forget.
func (g *gnupg) restartAgent() {
	g.t.Helper()
	if out, err := exec.Command("gpgconf", "--homedir", g.home, "--kill", "gpg-agent").CombinedOutput(); err != nil {
		g.t.Fatalf("gpgconf: %v\n%s", err, out)
	}
}

// preset tells the agent the passphrase of a key, as one does after a boot.
func (g *gnupg) preset(passphrase, name string) {
	g.t.Helper()
	if out, err := exec.Command("gpgconf", "--homedir", g.home, "--launch", "gpg-agent").CombinedOutput(); err != nil {
		g.t.Fatalf("gpgconf: %v\n%s", err, out)
	}
	listing := g.run(nil, "--with-colons", "--with-keygrip", "--list-secret-keys", name)
	for _, grip := range regexp.MustCompile(`(?m)^grp:+([0-9A-F]{40}):`).FindAllSubmatch(listing, -1) {
		cmd := exec.Command("/usr/lib/gnupg/gpg-preset-passphrase", "--homedir", g.home, "--preset", string(grip[1]))
		cmd.Stdin = strings.NewReader(passphrase)
		if out, err := cmd.CombinedOutput(); err != nil {
			g.t.Fatalf("gpg-preset-passphrase: %v\n%s", err, out)
		}
	}
}

// one reads exactly one key.
func one(t testing.TB, data []byte) *Key {
	t.Helper()
	keys, err := ReadKeys(data)
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	return keys[0]
}
