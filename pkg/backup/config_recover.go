package backup

import (
	"text/template"

	"github.com/bmad-forge/forgectl/pkg/configset"
)

// configPage is RECOVER.md of a config set. It names no file of the host: it is not sealed.
var configPage = template.Must(template.New(configset.RecoverName).Parse(`# Recovering configuration files without forgectl

This directory is one backup of the configuration files of a host, taken as set {{.ID}}. They hold
passwords: unpack them where nobody else can read.
Nothing but stock tools is needed: sha256sum, {{if .Sealed}}gpg (with the secret key of one of the recipients
in manifest.json), {{end}}zstd and tar.

Run the blocks in this order, in this directory. As root files get their owners back.

1. Is everything here, unharmed?

` + "```sh" + `
sha256sum --check --strict SHA256SUMS
` + "```" + `
` + recoverSigned + `
2. What is in it?

` + "```sh" + `
{{.Open "10-config.tar"}} | tar --list --verbose
` + "```" + `

3. Name a directory that does not exist yet, and unpack it there. Names are relative to /.

` + "```sh" + `
TO="${TO:-/root/recovered-{{.ID}}}"
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

func (r *configRun) recovery() (*template.Template, any) {
	return configPage, newRecoverText(&r.setRun, r.Sealing)
}
