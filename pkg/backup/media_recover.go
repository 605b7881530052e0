package backup

import (
	"text/template"

	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
)

// mediaPage is RECOVER.md of a media set.
var mediaPage = template.Must(template.New(dumpset.RecoverName).Parse(`# Recovering the media files without forgectl

This directory is one backup of the media files, taken as set {{.ID}}. The files lie in tree/, as they are: nothing is
packed or sealed. index.jsonl.zst lists them with their hashes, one JSON object a line.

Files of tree/ are shared with other sets by hard links. Never edit, chmod or move anything in it: copy it.

1. Is the list unharmed?

` + "```sh" + `
sha256sum --check --strict SHA256SUMS
` + "```" + `
{{if .Signer}}
   And is it what was signed? This needs gpg and the public key {{.Signer}}
   from a place that you trust, not from beside this file. Without that key nothing says who wrote this.

` + "```sh" + `
gpg --verify SHA256SUMS.sig SHA256SUMS
` + "```" + `
{{end}}
2. Are the files? (Names with a line break or a backslash, and those that are not UTF-8, are left out here. This needs jq;
   without it, look at the index with zstd and compare by hand.)

` + "```sh" + `
zstd --decompress --stdout index.jsonl.zst |
  jq --raw-output 'select(.path and .sha256 and (.path | test("[\\n\\r\\\\]") | not)) | .sha256 + "  " + .path' |
  (cd tree && sha256sum --check --strict --quiet)
` + "```" + `

3. Copy them, as root if they should have their owners. NEW is a directory that does not exist yet.

` + "```sh" + `
NEW="${NEW:-/var/tmp/recovered-media}"
cp --archive --no-target-directory tree "$NEW"
` + "```" + `

   Or, into a directory that has something already: rsync -aHAX tree/ "$NEW/". Or single files: cp --archive tree/PATH .
`))

func (r *mediaRun) recovery() (*template.Template, any) {
	return mediaPage, newRecoverText(&r.setRun, Sealing{})
}
