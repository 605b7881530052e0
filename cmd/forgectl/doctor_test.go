package main

import (
	"bytes"
	"os"
	"path/filepath"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/doctor"
	"github.com/bmad-forge/forgectl/pkg/service/servicetest"
)

// newDoctorRoot is the tree with a doctor that takes the directory "root" for the
// machine's own as far as cron is concerned.
func newDoctorRoot(app *App) *cobra.Command {
	root := newRoot(app)
	for _, c := range root.Commands() {
		if c.Name() == "doctor" {
			root.RemoveCommand(c)
		}
	}
	here, err := filepath.Abs("root")
	if err != nil {
		panic(err)
	}
	c := newDoctorCmdFor(app, doctor.Cron{Root: here, Owner: os.Getuid()})
	root.AddCommand(c)
	app.frame(c)
	return root
}

// installSystemctl puts a stand-in for systemctl first in PATH, with units that
// run: systemd UNIT...
func installSystemctl(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: systemd UNIT...")
	}
	dir := ts.MkAbs("systemd")
	ts.Check(os.MkdirAll(dir, 0o755))
	s, err := servicetest.Install(dir)
	ts.Check(err)
	ts.Defer(func() { _ = s.Close() })
	s.Running(args...)
	ts.Setenv("PATH", dir+":"+ts.Getenv("PATH"))
}

// writeExpiredKey writes a public key that has expired: expired FILE.
func writeExpiredKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: expired FILE")
	}
	key, err := openpgp.NewEntity("Forge backup", "", "backup@example.org", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 3600, Time: func() time.Time { return time.Now().Add(-48 * time.Hour) },
	})
	ts.Check(err)
	var public bytes.Buffer
	ts.Check(key.SerializePrivate(&bytes.Buffer{}, nil))
	ts.Check(key.Serialize(&public))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), public.Bytes(), 0o600))
}
