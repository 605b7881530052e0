package backup

import (
	"context"
	"fmt"
	"io"
	"text/template"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/configset"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// configRecoverTemplate is RECOVER.md of a config set. It names no file of the host: it is not sealed. A test runs the
// commands between the fences as they stand.
var configRecoverTemplate = template.Must(template.New(configset.RecoverName).Parse(`# Recovering configuration files without forgectl

This directory is one backup of the configuration files of a host, taken as set {{.ID}}. They hold
passwords: unpack them where nobody else can read.
Nothing but stock tools is needed: sha256sum, {{if .Sealed}}gpg (with the secret key of one of the recipients
in manifest.json), {{end}}zstd and tar.

Run the blocks in this order, in this directory. As root files get their owners back.

1. Is everything here, unharmed?

` + "```sh" + `
sha256sum --check --strict SHA256SUMS
` + "```" + `
{{if .Signer}}
   And is it what was signed? This needs gpg and the public key {{.Signer}}
   from a place that you trust, not from beside this file: gpg --import it, and compare the fingerprint that gpg prints.
   Without that key nothing says who wrote this: leave the block out, and think before you go on.

` + "```sh" + `
gpg --verify SHA256SUMS.sig SHA256SUMS
` + "```" + `
{{end}}
2. What is in it?

` + "```sh" + `
{{.Open "10-config.tar"}} | tar --list --verbose
` + "```" + `

3. Name a directory that does not exist yet, and unpack it there. Names are relative to /.

` + "```sh" + `
TO="${TO:-/root/{{.NewName}}}"
(
  set -e
  umask 077
  mkdir "$TO"
  {{.Open "10-config.tar"}} |
    tar --extract --directory="$TO" --same-permissions --xattrs --xattrs-include='*'
)
` + "```" + `

4. The hash of each file, and what could not be stored: one JSON object on each line.

` + "```sh" + `
{{.Open "20-index.jsonl"}}
` + "```" + `

5. Compare with what is there (diff --recursive --no-dereference "$TO/etc" /etc), and copy back what is wanted:
   cp --archive "$TO/etc/FILE" /etc/FILE
`))

func (r *configRun) writeRecover(ctx context.Context) error {
	sealed := len(r.Seal.Recipients) > 0
	text := recoverText{
		ID: string(r.draft.ID()), NewName: "recovered-" + string(r.draft.ID()), Sealed: sealed, Suffix: seal.Suffix(sealed),
	}
	if r.Signer != nil {
		text.Signer = r.Signer.Fingerprint()
	}
	blob, err := r.draft.Put(ctx, configset.RecoverName, func(w io.Writer) error { return configRecoverTemplate.Execute(w, text) })
	if err != nil {
		return fmt.Errorf("write to repository: %w", err)
	}
	r.recovery = artifact.Written{Artifact: catalog.Artifact{Name: blob.Name, Bytes: blob.Bytes, SHA256: blob.SHA256}}
	return nil
}
