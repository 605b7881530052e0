//go:build long

package restore_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// mostMemory is what forgectl itself may use, whatever is in a row.
const mostMemory = 200 << 20

// Promise: rows and large objects of 100 MB are backed up, drilled and restored
// by a process that stays small: they pass through it and are never held.
func TestHardLargeRows(t *testing.T) {
	dir := shortDir(t)
	program := filepath.Join(dir, "forgectl")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "../../cmd/forgectl") // without the race detector, which needs memory itself
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	name := scratchtest.Name("large")
	e := scratchtest.NamedDatabase(t, name, `CREATE TABLE large (id int PRIMARY KEY, t text, b bytea);
		INSERT INTO large SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 3300000) i;
		INSERT INTO large SELECT 2, repeat(E'"\\\n', 100) || t, NULL FROM large; UPDATE large SET b = convert_to(t, 'UTF8') WHERE id = 1;
		SELECT lo_from_bytea(60001, b) FROM large WHERE id = 1`)
	if got := scratchtest.Query(t, e, "SELECT min(length(t)) > 100 << 20 AND max(length(b)) > 100 << 20 FROM large"); got != "true" {
		t.Fatal("the rows are small")
	}
	key, err := openpgp.NewEntity("ops", "", "ops@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	must(t, err)
	var public, secret bytes.Buffer
	must(t, key.SerializePrivateWithoutSigning(&secret, nil))
	must(t, key.Serialize(&public))
	for file, data := range map[string][]byte{"public.pgp": public.Bytes(), "secret.pgp": secret.Bytes(), "forgectl.yaml": fmt.Appendf(nil, `repository: %[1]s/repository
state_dir: %[1]s/state
scratch_dir: %[1]s/scratch
database: {name: %[2]s, url: "host=%[3]s port=%[4]d user=postgres", admin_url: "host=%[3]s port=%[4]d user=postgres dbname=postgres"}
backup: {fingerprint: full, encrypt: {recipient_files: [%[1]s/public.pgp]}, decrypt: {secret_key_files: [%[1]s/secret.pgp]}}
`, dir, name, scratchtest.Server(t).SocketDir, scratchtest.Server(t).Port)} {
		must(t, os.WriteFile(filepath.Join(dir, file), data, 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, "repository"), 0o700))
	into := scratchtest.Name("large again")
	scratchtest.Drop(t, into)
	for _, args := range [][]string{{"backup", "db"}, {"backup", "verify", "--drill"}, {"restore", "db", "--into", into}} {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "FORGECTL_CONFIG="+filepath.Join(dir, "forgectl.yaml"), "HOME="+dir)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		must(t, cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		peak := int64(0)
		for running := true; running; {
			select {
			case err := <-ended:
				if running = false; err != nil {
					t.Fatalf("forgectl %q: %v\n%s", args, err, said.String())
				}
			case <-time.After(10 * time.Millisecond):
				peak = max(peak, highWater(cmd.Process.Pid))
			}
		}
		t.Logf("forgectl %q used %d MB at most", args, peak>>20)
		if peak == 0 || peak > mostMemory {
			t.Errorf("forgectl %q used %d MB", args, peak>>20)
		}
	}
	hash := "SELECT string_agg(concat(id, md5(t), md5(b)), ' ' ORDER BY id) || md5(lo_get(60001)) FROM large"
	if got, want := scratchtest.Query(t, e.WithDatabase(into), hash), scratchtest.Query(t, e, hash); got != want {
		t.Error("other rows came back")
	}
}

var vmHWM = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// highWater is the most memory that a process has had at once, 0 if it is gone.
func highWater(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if m := vmHWM.FindSubmatch(status); m != nil {
		kb, _ := strconv.ParseInt(string(m[1]), 10, 64)
		return kb << 10
	}
	return 0
}
