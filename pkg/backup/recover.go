package backup

import (
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// RECOVER.md says how to open a set with stock tools, for somebody who has nothing else. Each kind has a page of its own;
// tests run the commands between the fences as they stand.

// recoverSigned is what the pages of packed sets say of the signature.
const recoverSigned = `{{if .Signer}}
   And is it what was signed? This needs gpg and the public key {{.Signer}}
   from a place that you trust, not from beside this file: gpg --import it, and compare the fingerprint that gpg prints.
   Without that key nothing says who wrote this: leave the block out, and think before you go on.

` + "```sh" + `
gpg --verify SHA256SUMS.sig SHA256SUMS
` + "```" + `
{{end}}`

// recoverText is what the pages are filled with.
type recoverText struct {
	ID     string
	Signer string // fingerprint; "": not signed
	Sealed bool
	Suffix string
}

func newRecoverText(r *setRun, s Sealing) recoverText {
	text := recoverText{ID: string(r.draft.ID()), Sealed: s.sealed(), Suffix: seal.Suffix(s.sealed())}
	if r.to.Signer != nil {
		text.Signer = r.to.Signer.Fingerprint()
	}
	return text
}

// Open is the command that prints an artifact in plain.
func (t recoverText) Open(base string) string { return t.open(base + t.Suffix) }

// OpenFile is the same for the shell variable "file".
func (t recoverText) OpenFile() string { return t.open(`"$file"`) }

func (t recoverText) open(file string) string {
	if t.Sealed {
		return "gpg --quiet --decrypt " + file + " | zstd --decompress --stdout"
	}
	return "zstd --decompress --stdout " + file
}
